/*
Takes the contract away: views, procedures, roles (and their members' membership). The inbox and hub.outcome stay: they
are the memory of what was posted, without which a document could be posted twice after installing again. purge.sql
takes them too. Logins and users stay; they are the administrator's. Running it again does no harm.
قرارداد را برمی‌دارد، ولی صندوق ورودی و hub.outcome می‌مانند تا پس از نصب دوباره سندی دو بار ثبت نشود.
*/
IF OBJECT_ID(N'hub.post_document', N'P') IS NOT NULL DROP PROCEDURE hub.post_document;
GO
IF OBJECT_ID(N'hub.post_account', N'P') IS NOT NULL DROP PROCEDURE hub.post_account;
GO
IF OBJECT_ID(N'hub.post_product', N'P') IS NOT NULL DROP PROCEDURE hub.post_product;
GO
IF OBJECT_ID(N'hub.put_answer', N'P') IS NOT NULL DROP PROCEDURE hub.put_answer;
GO
IF OBJECT_ID(N'hub.build_fingerprint', N'P') IS NOT NULL DROP PROCEDURE hub.build_fingerprint;
GO
IF OBJECT_ID(N'hub.site_post', N'P') IS NOT NULL DROP PROCEDURE hub.site_post;
GO
IF OBJECT_ID(N'hub.site_account', N'P') IS NOT NULL DROP PROCEDURE hub.site_account;
GO
IF OBJECT_ID(N'hub.site_product', N'P') IS NOT NULL DROP PROCEDURE hub.site_product;
GO
IF OBJECT_ID(N'hub.accounts', N'V') IS NOT NULL DROP VIEW hub.accounts;
GO
IF OBJECT_ID(N'hub.products', N'V') IS NOT NULL DROP VIEW hub.products;
GO
IF OBJECT_ID(N'hub.warehouses', N'V') IS NOT NULL DROP VIEW hub.warehouses;
GO
IF OBJECT_ID(N'hub.stock', N'V') IS NOT NULL DROP VIEW hub.stock;
GO
IF OBJECT_ID(N'hub.customer_finance', N'V') IS NOT NULL DROP VIEW hub.customer_finance;
GO
IF OBJECT_ID(N'hub.vouchers', N'V') IS NOT NULL DROP VIEW hub.vouchers;
GO
IF OBJECT_ID(N'hub.stock_movements', N'V') IS NOT NULL DROP VIEW hub.stock_movements;
GO
IF OBJECT_ID(N'hub.documents', N'V') IS NOT NULL DROP VIEW hub.documents;
GO
IF OBJECT_ID(N'hub.document_lines', N'V') IS NOT NULL DROP VIEW hub.document_lines;
GO
IF OBJECT_ID(N'hub.ledgers', N'V') IS NOT NULL DROP VIEW hub.ledgers;
GO
IF OBJECT_ID(N'hub.groups', N'V') IS NOT NULL DROP VIEW hub.groups;
GO
IF OBJECT_ID(N'hub.attributes', N'V') IS NOT NULL DROP VIEW hub.attributes;
GO
IF OBJECT_ID(N'hub.places', N'V') IS NOT NULL DROP VIEW hub.places;
GO
IF OBJECT_ID(N'hub.cities', N'V') IS NOT NULL DROP VIEW hub.cities;
GO
IF OBJECT_ID(N'hub.cost_centres', N'V') IS NOT NULL DROP VIEW hub.cost_centres;
GO
IF OBJECT_ID(N'hub.units', N'V') IS NOT NULL DROP VIEW hub.units;
GO
IF OBJECT_ID(N'hub.build', N'V') IS NOT NULL DROP VIEW hub.build;
GO
IF OBJECT_ID(N'hub.contract_version', N'V') IS NOT NULL DROP VIEW hub.contract_version;
GO
IF OBJECT_ID(N'hub.horizon', N'V') IS NOT NULL DROP VIEW hub.horizon;
GO
DECLARE @member nvarchar(128), @role nvarchar(128), @command nvarchar(600);
WHILE EXISTS (
    SELECT 1 FROM sys.database_role_members AS m
    INNER JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
    WHERE r.name IN (N'hub_reader', N'hub_writer'))
BEGIN
    SELECT TOP (1) @role = r.name, @member = p.name
    FROM sys.database_role_members AS m
    INNER JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
    INNER JOIN sys.database_principals AS p ON p.principal_id = m.member_principal_id
    WHERE r.name IN (N'hub_reader', N'hub_writer');
    SET @command = N'ALTER ROLE ' + QUOTENAME(@role) + N' DROP MEMBER ' + QUOTENAME(@member);
    EXEC (@command);
END;
GO
IF DATABASE_PRINCIPAL_ID(N'hub_reader') IS NOT NULL DROP ROLE hub_reader;
GO
IF DATABASE_PRINCIPAL_ID(N'hub_writer') IS NOT NULL DROP ROLE hub_writer;
GO
