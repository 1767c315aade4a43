-- What the codes of attributes, groups, cities, cost centres and ledgers are called.
create table list_entries (
    list text not null,
    code text not null,
    product text not null, -- of an attribute that isn't every product's
    name text not null,
    parent text,
    active boolean not null,
    changed xid8 not null default pg_current_xact_id(),
    primary key (list, code, product)
);
create trigger touch before update on list_entries
    for each row when (old.* is distinct from new.*) execute function touch_row();
