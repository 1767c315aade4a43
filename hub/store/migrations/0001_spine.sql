-- Master data, as the books (or files) tell it.
create table products (
    code text primary key,
    name text not null,
    unit text not null,
    price bigint,
    vat_exempt boolean not null,
    vat_percent numeric(6, 3),
    duty_percent numeric(6, 3),
    stocked boolean not null,
    active boolean not null,
    product_group text,
    second_unit text,
    barcode text
);

-- Grows with every change of products, so that a reader knows whether what it remembers of them still holds.
create table product_version (version bigint not null);
insert into product_version values (0);

create table warehouses (
    code text primary key,
    name text not null,
    active boolean not null
);

-- An account's master data and its standing in the books may arrive in any order: `defined` tells whether the
-- master data is here. `held` is the sum of credit_holds and is changed only under this row's lock.
create table accounts (
    code text primary key,
    defined boolean not null default false,
    name text not null default '',
    vat_exempt boolean not null default false,
    active boolean not null default true,
    phones text[] not null default '{}',
    city text,
    cost_centre text,
    account_group text,
    direct bigint not null default 0,
    documentary bigint not null default 0,
    balance bigint not null default 0,
    uncleared_cheques bigint not null default 0,
    returned_cheques bigint not null default 0,
    as_of timestamptz,
    held bigint not null default 0
);

-- sellable = in_books + incoming - reserved. `incoming` and `reserved` are sums of movements, changed only under this
-- row's lock. Hesabgar may sell behind our back, so reserved > in_books can happen; reserved < 0 can't.
create table stock (
    product text not null,
    warehouse text not null,
    attribute text not null default '',
    in_books numeric(20, 5) not null default 0,
    incoming numeric(20, 5) not null default 0 check (incoming >= 0),
    reserved numeric(20, 5) not null default 0 check (reserved >= 0),
    as_of timestamptz,
    primary key (product, warehouse, attribute)
);

-- Documents as they now are, for finding and locking; the whole document is in the event of its present step.
create table documents (
    id uuid primary key,
    source text not null,
    source_id text not null,
    kind text not null,
    state text not null check (state in (
        'held', 'cleared', 'rejected', 'backordered', 'posting', 'posted', 'post_failed', 'cancelled', 'expired')),
    revision integer not null check (revision >= 1),
    step integer not null check (step >= 1),
    document_date date not null,
    account text,
    payable bigint not null,
    content_id uuid not null,
    original_id uuid,
    posting_number text,
    expires_at timestamptz,
    received_at timestamptz not null,
    changed_at timestamptz not null
);
create index documents_received on documents (received_at, id);
create index documents_account on documents (account, received_at);
create index documents_source_id on documents (source_id);
create index documents_original on documents (original_id) where original_id is not null;
create index documents_expiry on documents (expires_at) where expires_at is not null;
create index documents_open on documents (state, received_at)
    where state in ('held', 'backordered', 'posting', 'post_failed');

create table document_lines (
    document_id uuid not null,
    number integer not null,
    product text not null,
    warehouse text,
    attribute text not null,
    quantity numeric(20, 5) not null,
    short numeric(20, 5), -- what a backorder waits for
    unit_price bigint not null,
    discount bigint not null,
    net bigint not null,
    vat bigint not null,
    duty bigint not null,
    primary key (document_id, number)
);

-- Goods a document takes from (outgoing: its reservations) or brings to stock that the books don't show yet.
create table movements (
    document_id uuid not null,
    line integer not null,
    outgoing boolean not null,
    product text not null,
    warehouse text not null,
    attribute text not null,
    quantity numeric(20, 5) not null check (quantity > 0),
    posted_at timestamptz,
    primary key (document_id, line, outgoing)
);
create index movements_posted on movements (product, warehouse, attribute) where posted_at is not null;

-- What documents take of an account's credit (below zero: give to it) that the books' balance doesn't show yet.
create table credit_holds (
    document_id uuid primary key,
    account text not null,
    amount bigint not null,
    posted_at timestamptz
);
create index credit_holds_posted on credit_holds (account) where posted_at is not null;

-- One row per command ever decided: what was published for it, byte for byte.
create table decisions (
    command_id uuid primary key,
    document_id uuid not null,
    step integer not null,
    refused boolean not null,
    recorded_at timestamptz not null,
    event json not null
);
create index decisions_document on decisions (document_id, recorded_at);

-- What the API accepted for a revision of a document, so that other content under the same id is told at once.
create table intake (
    document_id uuid not null,
    source text not null,
    revision integer not null,
    content_id uuid not null,
    primary key (document_id, revision)
);

create table api_keys (
    id text primary key,
    hash bytea not null unique,
    name text not null unique,
    source text not null,
    scopes text[] not null,
    per_minute integer not null check (per_minute > 0),
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

create table cursors (
    name text primary key,
    value text not null,
    changed_at timestamptz not null default now()
);

-- What each running process last said of itself; health is judged by progress, not by being up.
create table workers (
    id text primary key,
    role text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    progressed_at timestamptz not null,
    lag bigint not null,
    counters jsonb not null
);
