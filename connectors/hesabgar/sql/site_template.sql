/*
Where a site's own procedures begin. Nothing public documents Hesabgar's tables and every site differs, so whoever knows
this site's tables fills the three procedures below, and tries them in a copy of the database. Until then they refuse.
آغازگاه روال‌های خود محل: کسی که جدول‌های این محل را می‌شناسد، سه روال زیر را پر می‌کند و نخست در رونوشتی از پایگاه می‌آزماید.

They run inside the transaction of hub.post_document, hub.post_account and hub.post_product, with the owner's rights:
  - read the item from hub.document_in and hub.document_line_in (account_in, product_in) by @external_id;
  - write it into the site's tables by the site's rules: document, stock, voucher, balances;
  - know the sale a return takes back by original_external_id, which is in hub.outcome, or, if the books had it before the
    hub came, by original_fiscal_year and original_number; with neither the hub knows no sale;
  - answer the numbers; begin, commit and roll back no transaction; give no result sets;
  - refuse by THROW, in words for the person who will read them. Numbers the hub knows:
      50101 unknown or locked account     50102 unknown product            50103 unknown warehouse
      50104 stock would go below zero     50105 no such period, or closed  50106 voucher doesn't balance
      50107 already in the books          50109 an account of the hub's configuration is missing or unknown
      50110 unknown unit                  50111 code already used          50112 unknown attribute
      50113 the original of a return isn't in the books                    50114 more returned than sold
      50115 a value that must be there is missing                          50116 a quantity must be above zero
*/
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO
ALTER PROCEDURE hub.site_post
    @external_id nvarchar(100),
    @fiscal_year smallint OUTPUT,
    @number nvarchar(50) OUTPUT,
    @voucher_number nvarchar(50) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @kind varchar(30), @words nvarchar(2048);
    SELECT @kind = kind FROM hub.document_in WHERE external_id = @external_id;

    -- One branch for each kind the company posts; the rest is refused.
    SET @words = N'نوع سند «' + ISNULL(@kind, N'') + N'» در این محل ثبت نمی‌شود. This site doesn''t post this kind.';
    THROW 50009, @words, 1;
END;
GO
ALTER PROCEDURE hub.site_account
    @external_id nvarchar(100),
    @code nvarchar(50) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    THROW 50009, N'حساب تازه در این محل ساخته نمی‌شود. This site makes no accounts.', 1;
END;
GO
ALTER PROCEDURE hub.site_product
    @external_id nvarchar(100),
    @code nvarchar(50) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    THROW 50009, N'کالای تازه در این محل ساخته نمی‌شود. This site makes no products.', 1;
END;
GO
