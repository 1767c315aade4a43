-- What connectors remember of the other side, by instance, bucket and key; keys in the order of their bytes.
create table connector_records (
    instance text not null,
    bucket text not null,
    key text collate "C" not null,
    value bytea not null,
    primary key (instance, bucket, key)
);

alter table accounts add column emails text[] not null default '{}';

-- Phones and e-mails as they are compared: the last ten digits, lower case.
create function phone_keys(phones text[]) returns text[] language sql immutable strict parallel safe
return (
    select coalesce(array_agg(right(regexp_replace(
        translate(phone, '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩', '01234567890123456789'), '[^0-9]', '', 'g'), 10)), '{}')
    from unnest(phones) as p (phone)
);
create function email_keys(emails text[]) returns text[] language sql immutable strict parallel safe
return (select coalesce(array_agg(lower(btrim(email))), '{}') from unnest(emails) as e (email));
create index accounts_phones on accounts using gin (phone_keys(phones));
create index accounts_emails on accounts using gin (email_keys(emails));

-- `changed` is the transaction that last changed a row. Rows of transactions older than every running one are there to
-- stay, so who has read up to such a one has missed nothing.
create function touch_row() returns trigger language plpgsql as $$
begin
    new.changed := pg_current_xact_id();
    return new;
end
$$;
alter table products add column changed xid8 not null default pg_current_xact_id();
alter table accounts add column changed xid8 not null default pg_current_xact_id();
alter table stock add column changed xid8 not null default pg_current_xact_id();
create trigger touch before update on products for each row when (old.* is distinct from new.*) execute function touch_row();
create trigger touch before update on accounts for each row when (old.* is distinct from new.*) execute function touch_row();
create trigger touch before update on stock for each row when (old.* is distinct from new.*) execute function touch_row();

-- Which count of transactions `changed` goes by: another one, once a database was restored into a younger server.
create table change_epoch (id uuid not null default gen_random_uuid());
insert into change_epoch default values;
