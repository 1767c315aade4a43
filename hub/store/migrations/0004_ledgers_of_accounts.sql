-- The subsidiary ledger (moin) and the detail (tafsili) group an account is of.
alter table accounts add column ledger text;
alter table accounts add column detail_group text;
