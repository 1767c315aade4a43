-- Who is told of every change of a source's documents, and where. The secrets stand here as they are: requests are
-- signed with them, so whoever reads this table can sign too.
create table webhooks (
    id uuid primary key,
    source text not null,
    url text not null,
    types text[] not null, -- empty: events of every type
    kinds text[] not null, -- empty: documents of every kind
    description text not null,
    active boolean not null,
    secret text not null,
    old_secret text, -- signs as well until old_secret_until
    old_secret_until timestamptz,
    created_by text not null,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    paused_until timestamptz, -- asked for by the receiver, or it can't be reached
    failing_since timestamptz, -- the first failure since the last success
    succeeded_at timestamptz,
    disabled_for text check (disabled_for in ('gone', 'failing'))
);
create index webhooks_source on webhooks (source, created_at);

-- One row per event and webhook: the queue and the log. The body of a document's event is that of its decision; a
-- delivery whose event is no decision (a ping) has its own. `due_at` of a delivery under way is when its lease ends,
-- and `claim` tells whose lease it is.
create table webhook_deliveries (
    id bigint primary key generated always as identity,
    webhook_id uuid not null references webhooks on delete cascade,
    event_id uuid not null,
    document_id uuid not null,
    command_id uuid,
    body text,
    type text not null,
    status text not null default 'pending' check (status in ('pending', 'delivered', 'given_up')),
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    claim integer not null default 0,
    failures integer not null default 0, -- since it was last asked for
    attempts integer not null default 0,
    tries json not null default '[]',
    finished_at timestamptz,
    unique (webhook_id, event_id)
);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, due_at, id) where status = 'pending';
create index webhook_deliveries_order on webhook_deliveries (webhook_id, document_id, id) where status = 'pending';
create index webhook_deliveries_log on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_age on webhook_deliveries (created_at);
