/*
After remove.sql: takes the inbox, the memory of what was posted, and schema hub. There is no way back but a backup.
پس از remove.sql: صندوق ورودی، حافظهٔ ثبت‌ها و خود طرح‌واره را هم پاک می‌کند. بازگشتی جز پشتیبان ندارد.
*/
IF OBJECT_ID(N'hub.document_line_in', N'U') IS NOT NULL DROP TABLE hub.document_line_in;
GO
IF OBJECT_ID(N'hub.document_in', N'U') IS NOT NULL DROP TABLE hub.document_in;
GO
IF OBJECT_ID(N'hub.account_in', N'U') IS NOT NULL DROP TABLE hub.account_in;
GO
IF OBJECT_ID(N'hub.product_in', N'U') IS NOT NULL DROP TABLE hub.product_in;
GO
IF OBJECT_ID(N'hub.outcome', N'U') IS NOT NULL DROP TABLE hub.outcome;
GO
IF OBJECT_ID(N'hub.answer', N'U') IS NOT NULL DROP TABLE hub.answer;
GO
IF OBJECT_ID(N'hub.mapped_table', N'U') IS NOT NULL DROP TABLE hub.mapped_table;
GO
IF SCHEMA_ID(N'hub') IS NOT NULL
    EXEC (N'DROP SCHEMA hub');
GO
