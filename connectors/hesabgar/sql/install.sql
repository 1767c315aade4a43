/*
Peyvand's contract with Hesabgar's database: schema hub. Version 1. SQL Server 2014 or newer.
قرارداد پیوند با پایگاه‌دادهٔ حسابگر: طرح‌وارهٔ hub، نسخهٔ ۱، برای SQL Server 2014 و بالاتر.

Run by the database's owner, in the company's database, in batches separated by GO (sqlcmd -b -f 65001 -d DATABASE
-i install.sql, SSMS, or the hub itself). It touches no table of Hesabgar's and
makes no trigger. Running it again does no harm and brings an older contract up to date: views that a site's mapping
has filled, procedures of the site, and everything that was posted stay as they are.
این اسکریپت را مالک پایگاه‌داده در پایگاه شرکت اجرا می‌کند. هیچ جدولی از حسابگر را دست نمی‌زند و هیچ تریگری نمی‌سازد.
اجرای دوباره زیانی ندارد: نماهای پرشده، روال‌های محل و هر آنچه ثبت شده، سر جای خود می‌مانند.

What is here:
  1. schema and roles            hub_reader reads the views; hub_writer runs the procedures
  2. inbox                       document_in, document_line_in, account_in, product_in, outcome
  3. views                       empty until a site's mapping fills them; their columns stand above each
  4. the site's own procedures   site_post, site_account, site_product: refuse until the site supplies them
  5. the hub's procedures        post_document, post_account, post_product, build_fingerprint
  6. rights

Refusals are errors of our own, with words for a person:
  50001  called within a transaction         50002  the same item is being posted by someone else
  50003  unknown kind of document            50004  the lines can't be read or there are none
  50005  the site's procedure answered no number or code
  50006  a value that must be there is missing
  50009  the site's procedure isn't supplied yet
  50100 and above are the site's own (site_template.sql lists them).
*/
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO
IF CONVERT(int, LEFT(CONVERT(nvarchar(20), SERVERPROPERTY('ProductVersion')),
        CHARINDEX('.', CONVERT(nvarchar(20), SERVERPROPERTY('ProductVersion'))) - 1)) < 12
    THROW 50000, N'Peyvand needs SQL Server 2014 or newer. پیوند به SQL Server 2014 یا بالاتر نیاز دارد.', 1;
GO
-- 1. Schema and roles ------------------------------------------------------------------------------------------------
IF SCHEMA_ID(N'hub') IS NULL
    EXEC (N'CREATE SCHEMA hub AUTHORIZATION dbo');
GO
IF DATABASE_PRINCIPAL_ID(N'hub_reader') IS NULL
    CREATE ROLE hub_reader AUTHORIZATION dbo;
GO
IF DATABASE_PRINCIPAL_ID(N'hub_writer') IS NULL
    CREATE ROLE hub_writer AUTHORIZATION dbo;
GO
-- 2. Inbox -----------------------------------------------------------------------------------------------------------
/*
hub.document_in: documents as the hub sent them, one row each. صندوق ورودی سندها.
Amounts are whole rials; date is the document's date; the *_account columns are the account numbers of the hub's
configuration that this document needs.
*/
IF OBJECT_ID(N'hub.document_in', N'U') IS NULL
    CREATE TABLE hub.document_in (
        external_id nvarchar(100) NOT NULL,
        revision int NOT NULL,
        kind varchar(30) NOT NULL,
        date date NOT NULL,
        account nvarchar(50) NULL,
        payment varchar(10) NOT NULL,
        warehouse nvarchar(50) NULL,
        to_warehouse nvarchar(50) NULL,
        original_external_id nvarchar(100) NULL,
        original_fiscal_year smallint NULL,
        original_number nvarchar(50) NULL,
        method varchar(10) NULL,
        cheque_number nvarchar(50) NULL,
        cheque_date date NULL,
        net bigint NOT NULL,
        vat bigint NOT NULL,
        duty bigint NOT NULL,
        payable bigint NOT NULL,
        city_code nvarchar(50) NULL,
        place_code nvarchar(50) NULL,
        cost_centre nvarchar(50) NULL,
        vat_account nvarchar(50) NULL,
        duty_account nvarchar(50) NULL,
        freight_account nvarchar(50) NULL,
        expense_account nvarchar(50) NULL,
        transfer_account nvarchar(50) NULL,
        receivable_account nvarchar(50) NULL,
        note nvarchar(1000) NULL,
        received_at datetime2(3) NOT NULL CONSTRAINT df_document_in_received_at DEFAULT (SYSUTCDATETIME()),
        CONSTRAINT pk_document_in PRIMARY KEY CLUSTERED (external_id)
    );
GO
IF COL_LENGTH(N'hub.document_in', N'original_fiscal_year') IS NULL
    ALTER TABLE hub.document_in ADD original_fiscal_year smallint NULL;
GO
/* hub.document_line_in: their lines. سطرهای آن‌ها. */
IF OBJECT_ID(N'hub.document_line_in', N'U') IS NULL
    CREATE TABLE hub.document_line_in (
        external_id nvarchar(100) NOT NULL,
        line int NOT NULL,
        product nvarchar(50) NOT NULL,
        warehouse nvarchar(50) NULL,
        attribute nvarchar(50) NOT NULL CONSTRAINT df_document_line_in_attribute DEFAULT (N''),
        quantity decimal(18,5) NOT NULL,
        second_quantity decimal(18,5) NULL,
        unit_price bigint NOT NULL,
        discount bigint NOT NULL,
        net bigint NOT NULL,
        vat bigint NOT NULL,
        duty bigint NOT NULL,
        payable bigint NOT NULL,
        CONSTRAINT pk_document_line_in PRIMARY KEY CLUSTERED (external_id, line),
        CONSTRAINT fk_document_line_in_document FOREIGN KEY (external_id) REFERENCES hub.document_in (external_id)
    );
GO
/* hub.account_in: new customers and other parties. حساب‌های تازه. */
IF OBJECT_ID(N'hub.account_in', N'U') IS NULL
    CREATE TABLE hub.account_in (
        external_id nvarchar(100) NOT NULL,
        code nvarchar(50) NULL,
        name nvarchar(200) NOT NULL,
        group_code nvarchar(50) NULL,
        ledger_code nvarchar(50) NULL,
        detail_group nvarchar(50) NULL,
        vat_exempt bit NOT NULL,
        phones nvarchar(400) NULL,
        address nvarchar(500) NULL,
        city_code nvarchar(50) NULL,
        place_code nvarchar(50) NULL,
        cost_centre nvarchar(50) NULL,
        national_id nvarchar(20) NULL,
        economic_code nvarchar(20) NULL,
        active bit NOT NULL CONSTRAINT df_account_in_active DEFAULT (1),
        received_at datetime2(3) NOT NULL CONSTRAINT df_account_in_received_at DEFAULT (SYSUTCDATETIME()),
        CONSTRAINT pk_account_in PRIMARY KEY CLUSTERED (external_id)
    );
GO
/* hub.product_in: new products. کالاهای تازه. */
IF OBJECT_ID(N'hub.product_in', N'U') IS NULL
    CREATE TABLE hub.product_in (
        external_id nvarchar(100) NOT NULL,
        code nvarchar(50) NULL,
        name nvarchar(200) NOT NULL,
        unit nvarchar(50) NOT NULL,
        second_unit nvarchar(50) NULL,
        second_unit_ratio decimal(18,5) NULL,
        price bigint NULL,
        group_code nvarchar(50) NULL,
        vat_exempt bit NOT NULL,
        vat_percent decimal(9,5) NULL,
        duty_percent decimal(9,5) NULL,
        stocked bit NOT NULL,
        barcode nvarchar(50) NULL,
        active bit NOT NULL CONSTRAINT df_product_in_active DEFAULT (1),
        received_at datetime2(3) NOT NULL CONSTRAINT df_product_in_received_at DEFAULT (SYSUTCDATETIME()),
        CONSTRAINT pk_product_in PRIMARY KEY CLUSTERED (external_id)
    );
GO
/*
hub.outcome: what became of each item, one row per item that is in the books. It is the memory that makes posting happen
once, so it outlives remove.sql. حافظهٔ «یک‌بار ثبت»: با remove.sql پاک نمی‌شود.
*/
IF OBJECT_ID(N'hub.outcome', N'U') IS NULL
    CREATE TABLE hub.outcome (
        item varchar(10) NOT NULL,
        external_id nvarchar(100) NOT NULL,
        kind varchar(30) NULL,
        revision int NOT NULL,
        fiscal_year smallint NULL,
        number nvarchar(50) NOT NULL,
        voucher_number nvarchar(50) NULL,
        posted_at datetime2(3) NOT NULL,
        row_version rowversion NOT NULL,
        CONSTRAINT pk_outcome PRIMARY KEY CLUSTERED (item, external_id),
        CONSTRAINT ck_outcome_item CHECK (item IN ('document', 'account', 'product'))
    );
GO
/*
hub.answer: at a branch, what became of each document entered there: its state at the hub, its number in the books, why not.
پاسخ هاب به سندهای شعبه: وضعیت، شماره در دفاتر مرکز، و دلیل.
*/
IF OBJECT_ID(N'hub.answer', N'U') IS NULL
    CREATE TABLE hub.answer (
        source_id nvarchar(100) NOT NULL,
        state varchar(20) NOT NULL,
        number nvarchar(50) NULL,
        reasons nvarchar(2000) NULL,
        revision int NOT NULL,
        step int NOT NULL,
        answered_at datetime2(3) NOT NULL,
        CONSTRAINT pk_answer PRIMARY KEY CLUSTERED (source_id)
    );
GO
/* hub.mapped_table: the site's tables whose shape belongs to the build fingerprint; the mapping fills it. */
IF OBJECT_ID(N'hub.mapped_table', N'U') IS NULL
    CREATE TABLE hub.mapped_table (
        schema_name nvarchar(128) NOT NULL,
        table_name nvarchar(128) NOT NULL,
        CONSTRAINT pk_mapped_table PRIMARY KEY CLUSTERED (schema_name, table_name)
    );
GO
-- 3. Views -----------------------------------------------------------------------------------------------------------
/* hub.contract_version: the contract's version. نسخهٔ قرارداد. */
IF OBJECT_ID(N'hub.contract_version', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.contract_version AS SELECT CAST(0 AS int) AS version');
GO
ALTER VIEW hub.contract_version AS
SELECT CAST(1 AS int) AS version;
GO
/*
hub.horizon: read it before a view, and again nothing below its row_version can appear later. Rows changed since the last
reading are those with row_version >= the last horizon and < this one. as_of is the books' own clock, in UTC.
افق خواندن: پیش از خواندن هر نما خوانده می‌شود؛ پایین‌تر از row_version آن دیگر چیزی پدید نمی‌آید.
*/
IF OBJECT_ID(N'hub.horizon', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.horizon AS SELECT CAST(0 AS bigint) AS row_version, SYSUTCDATETIME() AS as_of');
GO
ALTER VIEW hub.horizon AS
SELECT CONVERT(bigint, MIN_ACTIVE_ROWVERSION()) AS row_version, CONVERT(datetime2(3), SYSUTCDATETIME()) AS as_of;
GO
/*
From here on each view stands empty until a site's mapping fills it (ALTER VIEW, made by the hub from the mapping file).
از این‌جا به بعد هر نما خالی است تا نگاشت محل آن را پر کند.
*/
/*
hub.accounts: Customers, suppliers and other parties.
مشتریان، فروشندگان و دیگر طرف حساب‌ها.

    code           nvarchar(50)   account's code | کد حساب
    name           nvarchar(200)  account's name | نام حساب
    group_code     nvarchar(50)   account group | گروه حساب
    ledger_code    nvarchar(50)   subsidiary ledger (moin) | حساب معین
    detail_group   nvarchar(50)   detail (tafsili) group | گروه تفصیلی
    vat_exempt     bit            1 for a body that pays no VAT | ۱ اگر از مالیات معاف است
    active         bit            0 when it isn't used any more | اگر دیگر به کار نمی‌رود صفر
    phones         nvarchar(400)  phone numbers, ';' between them | شماره‌های تلفن، جداشده با ;
    address        nvarchar(500)  postal address | نشانی
    city_code      nvarchar(50)   city | شهر
    place_code     nvarchar(50)   place | مکان
    cost_centre    nvarchar(50)   cost centre | مرکز هزینه
    national_id    nvarchar(20)   national id | شناسه یا کد ملی
    economic_code  nvarchar(20)   economic code | کد اقتصادی
    row_version    bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.accounts', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.accounts AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS nvarchar(50)) AS group_code,
    CAST(NULL AS nvarchar(50)) AS ledger_code,
    CAST(NULL AS nvarchar(50)) AS detail_group,
    CAST(0 AS bit) AS vat_exempt,
    CAST(1 AS bit) AS active,
    CAST(NULL AS nvarchar(400)) AS phones,
    CAST(NULL AS nvarchar(500)) AS address,
    CAST(NULL AS nvarchar(50)) AS city_code,
    CAST(NULL AS nvarchar(50)) AS place_code,
    CAST(NULL AS nvarchar(50)) AS cost_centre,
    CAST(NULL AS nvarchar(20)) AS national_id,
    CAST(NULL AS nvarchar(20)) AS economic_code,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.products: Goods and services.
کالاها و خدمات.

    code               nvarchar(50)   product's code | کد کالا
    name               nvarchar(200)  product's name | نام کالا
    unit               nvarchar(50)   unit of measure | واحد سنجش
    second_unit        nvarchar(50)   second, independent unit | واحد دوم مستقل
    second_unit_ratio  decimal(18,5)  units in one second unit, if fixed | نسبت واحد دوم، اگر ثابت است
    price              bigint         rials for one unit | بهای هر واحد به ریال
    group_code         nvarchar(50)   product group | گروه کالا
    vat_exempt         bit            1 for exempt goods | ۱ اگر از مالیات معاف است
    vat_percent        decimal(9,5)   own VAT rate, else the general one | نرخ مالیات خود کالا
    duty_percent       decimal(9,5)   own duty rate, else the general one | نرخ عوارض خود کالا
    stocked            bit            0 for a service | برای خدمات صفر
    active             bit            0 when it isn't used any more | اگر دیگر به کار نمی‌رود صفر
    barcode            nvarchar(50)   bar code | بارکد
    row_version        bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.products', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.products AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS nvarchar(50)) AS unit,
    CAST(NULL AS nvarchar(50)) AS second_unit,
    CAST(NULL AS decimal(18,5)) AS second_unit_ratio,
    CAST(NULL AS bigint) AS price,
    CAST(NULL AS nvarchar(50)) AS group_code,
    CAST(0 AS bit) AS vat_exempt,
    CAST(NULL AS decimal(9,5)) AS vat_percent,
    CAST(NULL AS decimal(9,5)) AS duty_percent,
    CAST(1 AS bit) AS stocked,
    CAST(1 AS bit) AS active,
    CAST(NULL AS nvarchar(50)) AS barcode,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.warehouses: Warehouses.
انبارها.

    code         nvarchar(50)   warehouse's code | کد انبار
    name         nvarchar(200)  warehouse's name | نام انبار
    active       bit            0 when it isn't used any more | اگر دیگر به کار نمی‌رود صفر
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.warehouses', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.warehouses AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(1 AS bit) AS active,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.stock: What is on hand, one row per product, warehouse and attribute, also when it is zero.
موجودی هر کالا در هر انبار با هر مشخصه، حتی اگر صفر باشد.

    product      nvarchar(50)   product's code | کد کالا
    warehouse    nvarchar(50)   warehouse's code | کد انبار
    attribute    nvarchar(50)   product attribute's code, '' if none | کد مشخصهٔ کالا؛ تهی اگر ندارد
    on_hand      decimal(18,5)  quantity in the first unit | مقدار به واحد نخست
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.stock', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.stock AS
SELECT CAST(NULL AS nvarchar(50)) AS product,
    CAST(NULL AS nvarchar(50)) AS warehouse,
    CAST(N'''' AS nvarchar(50)) AS attribute,
    CAST(NULL AS decimal(18,5)) AS on_hand,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.customer_finance: Each customer's standing, in rials.
وضعیت مالی هر مشتری به ریال.

    account            nvarchar(50)   account's code | کد حساب
    direct             bigint         direct credit | اعتبار مستقیم
    documentary        bigint         documentary credit | اعتبار اسنادی
    balance            bigint         above zero: what the customer owes | بالای صفر: بدهی مشتری
    uncleared_cheques  bigint         cheques not cleared yet | چک‌های وصول‌نشده
    returned_cheques   bigint         cheques returned | چک‌های برگشتی
    row_version        bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.customer_finance', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.customer_finance AS
SELECT CAST(NULL AS nvarchar(50)) AS account,
    CAST(0 AS bigint) AS direct,
    CAST(0 AS bigint) AS documentary,
    CAST(NULL AS bigint) AS balance,
    CAST(0 AS bigint) AS uncleared_cheques,
    CAST(0 AS bigint) AS returned_cheques,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.vouchers: Lines of accounting vouchers: a customer's statement.
سطرهای سند حسابداری: صورت‌حساب مشتری.

    fiscal_year      smallint       fiscal year (Jalali) | سال مالی (شمسی)
    voucher_number   nvarchar(50)   voucher's number | شمارهٔ سند حسابداری
    line             int            line within the voucher | شمارهٔ سطر
    date             date           voucher's date | تاریخ سند
    kind             varchar(30)    kind of document, in the hub's words (sales_invoice, …) | نوع سند به واژه‌های هاب
    document_number  nvarchar(50)   number of the document behind it | شمارهٔ سند مبنا
    account          nvarchar(50)   account's code | کد حساب
    debit            bigint         rials debited | بدهکار به ریال
    credit           bigint         rials credited | بستانکار به ریال
    description      nvarchar(500)  what it is for | شرح
    row_version      bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.vouchers', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.vouchers AS
SELECT CAST(NULL AS smallint) AS fiscal_year,
    CAST(NULL AS nvarchar(50)) AS voucher_number,
    CAST(NULL AS int) AS line,
    CAST(NULL AS date) AS date,
    CAST(NULL AS varchar(30)) AS kind,
    CAST(NULL AS nvarchar(50)) AS document_number,
    CAST(NULL AS nvarchar(50)) AS account,
    CAST(NULL AS bigint) AS debit,
    CAST(NULL AS bigint) AS credit,
    CAST(NULL AS nvarchar(500)) AS description,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.stock_movements: Lines that moved goods: the kardex.
سطرهای گردش کالا: کاردکس.

    fiscal_year   smallint       fiscal year (Jalali) | سال مالی (شمسی)
    kind          varchar(30)    kind of document, in the hub's words (sales_invoice, …) | نوع سند به واژه‌های هاب
    number        nvarchar(50)   document's number | شمارهٔ سند
    line          int            line within the document | شمارهٔ سطر
    date          date           document's date | تاریخ سند
    product       nvarchar(50)   product's code | کد کالا
    warehouse     nvarchar(50)   warehouse's code | کد انبار
    attribute     nvarchar(50)   product attribute's code, '' if none | کد مشخصهٔ کالا؛ تهی اگر ندارد
    quantity_in   decimal(18,5)  quantity that came in | مقدار وارده
    quantity_out  decimal(18,5)  quantity that went out | مقدار صادره
    unit_price    bigint         rials for one unit | بهای واحد به ریال
    account       nvarchar(50)   the other party's code | کد طرف حساب
    row_version   bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.stock_movements', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.stock_movements AS
SELECT CAST(NULL AS smallint) AS fiscal_year,
    CAST(NULL AS varchar(30)) AS kind,
    CAST(NULL AS nvarchar(50)) AS number,
    CAST(NULL AS int) AS line,
    CAST(NULL AS date) AS date,
    CAST(NULL AS nvarchar(50)) AS product,
    CAST(NULL AS nvarchar(50)) AS warehouse,
    CAST(N'''' AS nvarchar(50)) AS attribute,
    CAST(NULL AS decimal(18,5)) AS quantity_in,
    CAST(NULL AS decimal(18,5)) AS quantity_out,
    CAST(NULL AS bigint) AS unit_price,
    CAST(NULL AS nvarchar(50)) AS account,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.documents: Heads of documents in the books: for the one-time import of sales and returns.
سرِ سندهای ثبت‌شده: برای ورود یک‌بارهٔ فروش‌ها و برگشتی‌ها.

    fiscal_year      smallint       fiscal year (Jalali) | سال مالی (شمسی)
    kind             varchar(30)    kind of document, in the hub's words (sales_invoice, …) | نوع سند به واژه‌های هاب
    number           nvarchar(50)   document's number | شمارهٔ سند
    date             date           document's date | تاریخ سند
    account          nvarchar(50)   the other party's code | کد طرف حساب
    warehouse        nvarchar(50)   warehouse's code | کد انبار
    to_warehouse     nvarchar(50)   a transfer's receiving warehouse | انبار مقصد حواله
    payment          varchar(10)    how a sale is paid: cash or credit | نقدی یا اعتباری
    method           varchar(10)    how money came: cash, card or cheque | شیوهٔ دریافت وجه
    voucher_number   nvarchar(50)   its voucher's number | شمارهٔ سند حسابداری آن
    external_id      nvarchar(100)  the hub's id, if the hub posted it | شناسهٔ هاب، اگر هاب ثبت کرده
    original_number  nvarchar(50)   a return's sale | شمارهٔ فروش اصلیِ برگشتی
    net              bigint         rials before tax | خالص به ریال
    vat              bigint         VAT in rials | مالیات به ریال
    duty             bigint         municipal duty in rials | عوارض به ریال
    payable          bigint         rials to pay | قابل پرداخت به ریال
    note             nvarchar(1000) note | توضیح
    row_version      bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.documents', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.documents AS
SELECT CAST(NULL AS smallint) AS fiscal_year,
    CAST(NULL AS varchar(30)) AS kind,
    CAST(NULL AS nvarchar(50)) AS number,
    CAST(NULL AS date) AS date,
    CAST(NULL AS nvarchar(50)) AS account,
    CAST(NULL AS nvarchar(50)) AS warehouse,
    CAST(NULL AS nvarchar(50)) AS to_warehouse,
    CAST(''credit'' AS varchar(10)) AS payment,
    CAST(NULL AS varchar(10)) AS method,
    CAST(NULL AS nvarchar(50)) AS voucher_number,
    CAST(NULL AS nvarchar(100)) AS external_id,
    CAST(NULL AS nvarchar(50)) AS original_number,
    CAST(0 AS bigint) AS net,
    CAST(0 AS bigint) AS vat,
    CAST(0 AS bigint) AS duty,
    CAST(0 AS bigint) AS payable,
    CAST(NULL AS nvarchar(1000)) AS note,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.document_lines: Lines of documents in the books.
سطرهای سندهای ثبت‌شده.

    fiscal_year  smallint       fiscal year (Jalali) | سال مالی (شمسی)
    kind         varchar(30)    kind of document, in the hub's words (sales_invoice, …) | نوع سند به واژه‌های هاب
    number       nvarchar(50)   document's number | شمارهٔ سند
    line         int            line within the document | شمارهٔ سطر
    product      nvarchar(50)   product's code | کد کالا
    warehouse    nvarchar(50)   warehouse's code | کد انبار
    attribute    nvarchar(50)   product attribute's code, '' if none | کد مشخصهٔ کالا؛ تهی اگر ندارد
    quantity     decimal(18,5)  quantity in the first unit | مقدار به واحد نخست
    unit_price   bigint         rials for one unit | بهای واحد به ریال
    discount     bigint         rials off the line | تخفیف سطر به ریال
    net          bigint         rials before tax | خالص به ریال
    vat          bigint         VAT in rials | مالیات به ریال
    duty         bigint         municipal duty in rials | عوارض به ریال
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.document_lines', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.document_lines AS
SELECT CAST(NULL AS smallint) AS fiscal_year,
    CAST(NULL AS varchar(30)) AS kind,
    CAST(NULL AS nvarchar(50)) AS number,
    CAST(NULL AS int) AS line,
    CAST(NULL AS nvarchar(50)) AS product,
    CAST(NULL AS nvarchar(50)) AS warehouse,
    CAST(N'''' AS nvarchar(50)) AS attribute,
    CAST(NULL AS decimal(18,5)) AS quantity,
    CAST(0 AS bigint) AS unit_price,
    CAST(0 AS bigint) AS discount,
    CAST(0 AS bigint) AS net,
    CAST(0 AS bigint) AS vat,
    CAST(0 AS bigint) AS duty,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.ledgers: Subsidiary ledgers (moin).
حساب‌های معین.

    code         nvarchar(50)   ledger's code | کد معین
    name         nvarchar(200)  ledger's name | نام معین
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.ledgers', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.ledgers AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.groups: Groups of products and of accounts.
گروه‌های کالا و حساب.

    code         nvarchar(50)   group's code | کد گروه
    name         nvarchar(200)  group's name | نام گروه
    kind         varchar(30)    product, account or detail | کالا، حساب یا تفصیلی
    parent_code  nvarchar(50)   the group above | گروه بالاتر
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.groups', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.groups AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS varchar(30)) AS kind,
    CAST(NULL AS nvarchar(50)) AS parent_code,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.attributes: Product attributes (moshakhase).
مشخصه‌های کالا.

    code         nvarchar(50)   attribute's code | کد مشخصه
    name         nvarchar(200)  attribute's name | نام مشخصه
    product      nvarchar(50)   its product, if it has one | کالای آن، اگر دارد
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.attributes', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.attributes AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS nvarchar(50)) AS product,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.places: Places tied to accounts.
مکان‌ها.

    code         nvarchar(50)   place's code | کد مکان
    name         nvarchar(200)  place's name | نام مکان
    account      nvarchar(50)   its account | حساب آن
    city_code    nvarchar(50)   its city | شهر آن
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.places', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.places AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS nvarchar(50)) AS account,
    CAST(NULL AS nvarchar(50)) AS city_code,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.cities: Cities and provinces.
شهرها و استان‌ها.

    code         nvarchar(50)   city's code | کد شهر
    name         nvarchar(200)  city's name | نام شهر
    province     nvarchar(100)  province | استان
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.cities', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.cities AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS nvarchar(100)) AS province,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.cost_centres: Cost centres.
مراکز هزینه.

    code         nvarchar(50)   cost centre's code | کد مرکز هزینه
    name         nvarchar(200)  cost centre's name | نام مرکز هزینه
    active       bit            0 when it isn't used any more | اگر دیگر به کار نمی‌رود صفر
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.cost_centres', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.cost_centres AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(1 AS bit) AS active,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.units: Units of measure.
واحدهای سنجش.

    code         nvarchar(50)   unit's code | کد واحد
    name         nvarchar(200)  unit's name | نام واحد
    row_version  bigint         rises with every change of the row; NULL where the site's tables have none | با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است
*/
IF OBJECT_ID(N'hub.units', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.units AS
SELECT CAST(NULL AS nvarchar(50)) AS code,
    CAST(NULL AS nvarchar(200)) AS name,
    CAST(NULL AS bigint) AS row_version
WHERE 1 = 0');
GO
/*
hub.build: Hesabgar's own build: one row.
نسخهٔ خود حسابگر: یک سطر.

    company  nvarchar(200)  company's name | نام شرکت
    build    nvarchar(100)  Hesabgar's build | نسخهٔ حسابگر
*/
IF OBJECT_ID(N'hub.build', N'V') IS NULL
    EXEC (N'CREATE VIEW hub.build AS
SELECT CAST(NULL AS nvarchar(200)) AS company,
    CAST(NULL AS nvarchar(100)) AS build
WHERE 1 = 0');
GO
-- 4. The site's own procedures ---------------------------------------------------------------------------------------
/*
hub.site_post puts one document of the inbox into the site's tables and answers its numbers; it runs inside the
transaction of hub.post_document and refuses by THROW. site_account and site_product do the same for new accounts and
products. They are the site's (site_template.sql is where to begin); these stand-ins refuse everything.
*/
IF OBJECT_ID(N'hub.site_post', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.site_post
    @external_id nvarchar(100),
    @fiscal_year smallint OUTPUT,
    @number nvarchar(50) OUTPUT,
    @voucher_number nvarchar(50) OUTPUT
AS
    THROW 50009, N''روال ثبت سند این محل (hub.site_post) هنوز نصب نشده است. The site''''s hub.site_post is not installed.'', 1;');
GO
IF OBJECT_ID(N'hub.site_account', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.site_account
    @external_id nvarchar(100),
    @code nvarchar(50) OUTPUT
AS
    THROW 50009, N''روال ساخت حساب این محل (hub.site_account) هنوز نصب نشده است. The site''''s hub.site_account is not installed.'', 1;');
GO
IF OBJECT_ID(N'hub.site_product', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.site_product
    @external_id nvarchar(100),
    @code nvarchar(50) OUTPUT
AS
    THROW 50009, N''روال ساخت کالای این محل (hub.site_product) هنوز نصب نشده است. The site''''s hub.site_product is not installed.'', 1;');
GO
-- 5. The hub's procedures --------------------------------------------------------------------------------------------
/*
hub.post_document posts one document, once. A second call with the same external id changes nothing and answers what the
first one did. Everything happens in one transaction of its own, so it must not be called within another.
ثبت یک سند، تنها یک بار؛ فراخوانی دوباره با همان شناسه همان شماره را برمی‌گرداند.

@lines: <lines><line number="1" product="…" warehouse="…" attribute="…" quantity="1.5" second_quantity="…"
        unit_price="…" discount="…" net="…" vat="…" duty="…" payable="…"/>…</lines>
The sale a return takes back: @original_external_id if the hub posted it, else @original_fiscal_year and @original_number.
@dry_run = 1: does everything, answers, then undoes it; a second result set shows the voucher that would be.

Answers one row: external_id, kind, revision, fiscal_year, number, voucher_number, posted_at (UTC), row_version,
already_posted (1 when an earlier call did it; then revision is what was posted).
*/
IF OBJECT_ID(N'hub.post_document', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.post_document AS RETURN 0;');
GO
ALTER PROCEDURE hub.post_document
    @external_id nvarchar(100),
    @kind varchar(30),
    @date date,
    @lines xml = NULL,
    @revision int = 1,
    @account nvarchar(50) = NULL,
    @payment varchar(10) = 'credit',
    @warehouse nvarchar(50) = NULL,
    @to_warehouse nvarchar(50) = NULL,
    @original_external_id nvarchar(100) = NULL,
    @original_fiscal_year smallint = NULL,
    @original_number nvarchar(50) = NULL,
    @method varchar(10) = NULL,
    @cheque_number nvarchar(50) = NULL,
    @cheque_date date = NULL,
    @net bigint = 0,
    @vat bigint = 0,
    @duty bigint = 0,
    @payable bigint = 0,
    @city_code nvarchar(50) = NULL,
    @place_code nvarchar(50) = NULL,
    @cost_centre nvarchar(50) = NULL,
    @vat_account nvarchar(50) = NULL,
    @duty_account nvarchar(50) = NULL,
    @freight_account nvarchar(50) = NULL,
    @expense_account nvarchar(50) = NULL,
    @transfer_account nvarchar(50) = NULL,
    @receivable_account nvarchar(50) = NULL,
    @note nvarchar(1000) = NULL,
    @dry_run bit = 0
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @words nvarchar(2048), @resource nvarchar(255), @locked int;
    DECLARE @fiscal_year smallint, @number nvarchar(50), @voucher_number nvarchar(50), @posted_at datetime2(3);

    IF @@TRANCOUNT > 0
        THROW 50001, N'ثبت سند باید بیرون از تراکنش دیگر فراخوانده شود. Call hub.post_document outside a transaction.', 1;
    IF NULLIF(LTRIM(@external_id), N'') IS NULL OR @date IS NULL
        THROW 50006, N'شناسهٔ بیرونی و تاریخ سند لازم است. The document has no external id or no date.', 1;
    IF @kind IS NULL OR @kind NOT IN ('quote', 'sales_order', 'sales_invoice', 'sales_return', 'purchase_order',
            'purchase_invoice', 'receipt', 'transfer', 'goods_issue', 'goods_receipt')
    BEGIN
        SET @words = N'نوع سند «' + ISNULL(@kind, N'') + N'» شناخته نیست. Unknown kind of document.';
        THROW 50003, @words, 1;
    END;

    BEGIN TRY
        BEGIN TRANSACTION;
        -- Whoever posts the same document at the same time waits here until the first is done.
        SET @resource = N'hub.document:' + @external_id;
        EXEC @locked = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive', @LockOwner = 'Transaction',
            @LockTimeout = 15000;
        IF @locked < 0
            THROW 50002, N'همین سند هم‌اکنون در حال ثبت است. The same document is being posted right now.', 1;

        IF EXISTS (SELECT 1 FROM hub.outcome WHERE item = 'document' AND external_id = @external_id)
        BEGIN
            SELECT external_id, kind, revision, fiscal_year, number, voucher_number, posted_at,
                CONVERT(bigint, row_version) AS row_version, CAST(1 AS bit) AS already_posted
            FROM hub.outcome
            WHERE item = 'document' AND external_id = @external_id;
            COMMIT TRANSACTION;
            RETURN 0;
        END;

        INSERT INTO hub.document_in (external_id, revision, kind, date, account, payment, warehouse, to_warehouse,
            original_external_id, original_fiscal_year, original_number, method, cheque_number, cheque_date, net, vat, duty,
            payable, city_code, place_code, cost_centre, vat_account, duty_account, freight_account, expense_account,
            transfer_account, receivable_account, note)
        VALUES (@external_id, @revision, @kind, @date, @account, ISNULL(@payment, 'credit'), @warehouse, @to_warehouse,
            @original_external_id, @original_fiscal_year, @original_number, @method, @cheque_number, @cheque_date,
            ISNULL(@net, 0), ISNULL(@vat, 0), ISNULL(@duty, 0), ISNULL(@payable, 0), @city_code, @place_code,
            @cost_centre, @vat_account, @duty_account, @freight_account, @expense_account, @transfer_account,
            @receivable_account, @note);

        INSERT INTO hub.document_line_in (external_id, line, product, warehouse, attribute, quantity, second_quantity,
            unit_price, discount, net, vat, duty, payable)
        SELECT @external_id, x.line.value('@number', 'int'), x.line.value('@product', 'nvarchar(50)'),
            ISNULL(x.line.value('@warehouse', 'nvarchar(50)'), @warehouse),
            ISNULL(x.line.value('@attribute', 'nvarchar(50)'), N''),
            x.line.value('@quantity', 'decimal(18,5)'), x.line.value('@second_quantity', 'decimal(18,5)'),
            ISNULL(x.line.value('@unit_price', 'bigint'), 0), ISNULL(x.line.value('@discount', 'bigint'), 0),
            ISNULL(x.line.value('@net', 'bigint'), 0), ISNULL(x.line.value('@vat', 'bigint'), 0),
            ISNULL(x.line.value('@duty', 'bigint'), 0), ISNULL(x.line.value('@payable', 'bigint'), 0)
        FROM @lines.nodes('/lines/line') AS x (line);

        IF @kind <> 'receipt' AND NOT EXISTS (SELECT 1 FROM hub.document_line_in WHERE external_id = @external_id)
            THROW 50004, N'سند سطری ندارد. The document has no lines.', 1;

        EXEC hub.site_post @external_id = @external_id, @fiscal_year = @fiscal_year OUTPUT, @number = @number OUTPUT,
            @voucher_number = @voucher_number OUTPUT;
        IF @number IS NULL
            THROW 50005, N'روال محل شماره‌ای برنگرداند. hub.site_post answered no number.', 1;

        -- Last, under the locks on the stock it changed: whoever reads stock after this moment sees the change.
        SET @posted_at = SYSUTCDATETIME();
        INSERT INTO hub.outcome (item, external_id, kind, revision, fiscal_year, number, voucher_number, posted_at)
        VALUES ('document', @external_id, @kind, @revision, @fiscal_year, @number, @voucher_number, @posted_at);

        IF @dry_run = 1
        BEGIN
            SELECT external_id, kind, revision, fiscal_year, number, voucher_number, posted_at,
                CONVERT(bigint, row_version) AS row_version, CAST(0 AS bit) AS already_posted
            FROM hub.outcome
            WHERE item = 'document' AND external_id = @external_id;
            SELECT line, account, debit, credit, description
            FROM hub.vouchers
            WHERE fiscal_year = @fiscal_year AND voucher_number = @voucher_number
            ORDER BY line;
            ROLLBACK TRANSACTION;
            RETURN 0;
        END;

        COMMIT TRANSACTION;
    END TRY
    BEGIN CATCH
        IF XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        THROW;
    END CATCH;

    SELECT external_id, kind, revision, fiscal_year, number, voucher_number, posted_at,
        CONVERT(bigint, row_version) AS row_version, CAST(0 AS bit) AS already_posted
    FROM hub.outcome
    WHERE item = 'document' AND external_id = @external_id;
    RETURN 0;
END;
GO
/*
hub.post_account sends a new customer or other party, once. A call with a higher revision changes what it made.
ارسال حساب تازه، تنها یک بار؛ فراخوانی با ویرایش بالاتر همان را تغییر می‌دهد.
Answers one row: external_id, code, posted_at (UTC), row_version, already_posted.
*/
IF OBJECT_ID(N'hub.post_account', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.post_account AS RETURN 0;');
GO
ALTER PROCEDURE hub.post_account
    @external_id nvarchar(100),
    @name nvarchar(200),
    @code nvarchar(50) = NULL,
    @revision int = 1,
    @group_code nvarchar(50) = NULL,
    @ledger_code nvarchar(50) = NULL,
    @detail_group nvarchar(50) = NULL,
    @vat_exempt bit = 0,
    @phones nvarchar(400) = NULL,
    @address nvarchar(500) = NULL,
    @city_code nvarchar(50) = NULL,
    @place_code nvarchar(50) = NULL,
    @cost_centre nvarchar(50) = NULL,
    @national_id nvarchar(20) = NULL,
    @economic_code nvarchar(20) = NULL,
    @active bit = 1
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @resource nvarchar(255), @locked int, @already bit, @given nvarchar(50), @known int;

    IF @@TRANCOUNT > 0
        THROW 50001, N'ثبت حساب باید بیرون از تراکنش دیگر فراخوانده شود. Call hub.post_account outside a transaction.', 1;
    IF NULLIF(LTRIM(@external_id), N'') IS NULL OR NULLIF(LTRIM(@name), N'') IS NULL
        THROW 50006, N'شناسهٔ بیرونی و نام حساب لازم است. The account has no external id or no name.', 1;

    BEGIN TRY
        BEGIN TRANSACTION;
        SET @resource = N'hub.account:' + @external_id;
        EXEC @locked = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive', @LockOwner = 'Transaction',
            @LockTimeout = 15000;
        IF @locked < 0
            THROW 50002, N'همین حساب هم‌اکنون در حال ثبت است. The same account is being sent right now.', 1;

        SET @already = 1;
        SET @given = @code;
        SELECT @known = revision, @given = number FROM hub.outcome WHERE item = 'account' AND external_id = @external_id;
        IF @known IS NULL OR @revision > @known
        BEGIN
            SET @already = 0;
            DELETE FROM hub.account_in WHERE external_id = @external_id;
            INSERT INTO hub.account_in (external_id, code, name, group_code, ledger_code, detail_group, vat_exempt, phones,
                address, city_code, place_code, cost_centre, national_id, economic_code, active)
            VALUES (@external_id, @given, @name, @group_code, @ledger_code, @detail_group, ISNULL(@vat_exempt, 0), @phones,
                @address, @city_code, @place_code, @cost_centre, @national_id, @economic_code, ISNULL(@active, 1));
            EXEC hub.site_account @external_id = @external_id, @code = @given OUTPUT;
            IF @given IS NULL
                THROW 50005, N'روال محل کدی برنگرداند. hub.site_account answered no code.', 1;
            IF @known IS NULL
                INSERT INTO hub.outcome (item, external_id, revision, number, posted_at)
                VALUES ('account', @external_id, @revision, @given, SYSUTCDATETIME());
            ELSE
                UPDATE hub.outcome SET revision = @revision, number = @given, posted_at = SYSUTCDATETIME()
                WHERE item = 'account' AND external_id = @external_id;
        END;
        COMMIT TRANSACTION;
    END TRY
    BEGIN CATCH
        IF XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        THROW;
    END CATCH;

    SELECT external_id, number AS code, posted_at, CONVERT(bigint, row_version) AS row_version, @already AS already_posted
    FROM hub.outcome
    WHERE item = 'account' AND external_id = @external_id;
    RETURN 0;
END;
GO
/*
hub.post_product sends a new product, once. A call with a higher revision changes what it made.
ارسال کالای تازه، تنها یک بار؛ فراخوانی با ویرایش بالاتر همان را تغییر می‌دهد.
Answers one row: external_id, code, posted_at (UTC), row_version, already_posted.
*/
IF OBJECT_ID(N'hub.post_product', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.post_product AS RETURN 0;');
GO
ALTER PROCEDURE hub.post_product
    @external_id nvarchar(100),
    @name nvarchar(200),
    @unit nvarchar(50),
    @code nvarchar(50) = NULL,
    @revision int = 1,
    @second_unit nvarchar(50) = NULL,
    @second_unit_ratio decimal(18,5) = NULL,
    @price bigint = NULL,
    @group_code nvarchar(50) = NULL,
    @vat_exempt bit = 0,
    @vat_percent decimal(9,5) = NULL,
    @duty_percent decimal(9,5) = NULL,
    @stocked bit = 1,
    @barcode nvarchar(50) = NULL,
    @active bit = 1
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @resource nvarchar(255), @locked int, @already bit, @given nvarchar(50), @known int;

    IF @@TRANCOUNT > 0
        THROW 50001, N'ثبت کالا باید بیرون از تراکنش دیگر فراخوانده شود. Call hub.post_product outside a transaction.', 1;
    IF NULLIF(LTRIM(@external_id), N'') IS NULL OR NULLIF(LTRIM(@name), N'') IS NULL OR NULLIF(LTRIM(@unit), N'') IS NULL
        THROW 50006, N'شناسهٔ بیرونی، نام و واحد کالا لازم است. The product has no external id, no name or no unit.', 1;

    BEGIN TRY
        BEGIN TRANSACTION;
        SET @resource = N'hub.product:' + @external_id;
        EXEC @locked = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive', @LockOwner = 'Transaction',
            @LockTimeout = 15000;
        IF @locked < 0
            THROW 50002, N'همین کالا هم‌اکنون در حال ثبت است. The same product is being sent right now.', 1;

        SET @already = 1;
        SET @given = @code;
        SELECT @known = revision, @given = number FROM hub.outcome WHERE item = 'product' AND external_id = @external_id;
        IF @known IS NULL OR @revision > @known
        BEGIN
            SET @already = 0;
            DELETE FROM hub.product_in WHERE external_id = @external_id;
            INSERT INTO hub.product_in (external_id, code, name, unit, second_unit, second_unit_ratio, price, group_code,
                vat_exempt, vat_percent, duty_percent, stocked, barcode, active)
            VALUES (@external_id, @given, @name, @unit, @second_unit, @second_unit_ratio, @price, @group_code,
                ISNULL(@vat_exempt, 0), @vat_percent, @duty_percent, ISNULL(@stocked, 1), @barcode, ISNULL(@active, 1));
            EXEC hub.site_product @external_id = @external_id, @code = @given OUTPUT;
            IF @given IS NULL
                THROW 50005, N'روال محل کدی برنگرداند. hub.site_product answered no code.', 1;
            IF @known IS NULL
                INSERT INTO hub.outcome (item, external_id, revision, number, posted_at)
                VALUES ('product', @external_id, @revision, @given, SYSUTCDATETIME());
            ELSE
                UPDATE hub.outcome SET revision = @revision, number = @given, posted_at = SYSUTCDATETIME()
                WHERE item = 'product' AND external_id = @external_id;
        END;
        COMMIT TRANSACTION;
    END TRY
    BEGIN CATCH
        IF XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        THROW;
    END CATCH;

    SELECT external_id, number AS code, posted_at, CONVERT(bigint, row_version) AS row_version, @already AS already_posted
    FROM hub.outcome
    WHERE item = 'product' AND external_id = @external_id;
    RETURN 0;
END;
GO
/*
hub.put_answer keeps what became of a document entered at this branch; an older step never overwrites a newer one.
ثبت پاسخ هاب به یک سند شعبه.
*/
IF OBJECT_ID(N'hub.put_answer', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.put_answer AS RETURN 0;');
GO
ALTER PROCEDURE hub.put_answer
    @source_id nvarchar(100),
    @state varchar(20),
    @revision int,
    @step int,
    @number nvarchar(50) = NULL,
    @reasons nvarchar(2000) = NULL
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    BEGIN TRANSACTION;
    UPDATE hub.answer WITH (UPDLOCK, HOLDLOCK)
    SET state = @state, number = @number, reasons = @reasons, revision = @revision, step = @step,
        answered_at = SYSUTCDATETIME()
    WHERE source_id = @source_id AND step <= @step;
    IF NOT EXISTS (SELECT 1 FROM hub.answer WITH (UPDLOCK, HOLDLOCK) WHERE source_id = @source_id)
        INSERT INTO hub.answer (source_id, state, number, reasons, revision, step, answered_at)
        VALUES (@source_id, @state, @number, @reasons, @revision, @step, SYSUTCDATETIME());
    COMMIT TRANSACTION;
    RETURN 0;
END;
GO
/*
hub.build_fingerprint answers one row: build (Hesabgar's own word for itself), fingerprint (SHA-256 over that word and over
name, type, length and nullability of every column of the mapped tables), tables (how many were found), missing (how many
of the mapped tables weren't). It runs as the owner, because the catalogue shows a reader only what it has rights on.
Error 15517 there means that the database has no valid owner, as after a restore: ALTER AUTHORIZATION ON DATABASE::… TO sa.
اثر انگشت نسخه: اگر تغییر کند، هاب خواندن را ادامه می‌دهد و ثبت را تا پذیرش یک نفر نگه می‌دارد.
*/
IF OBJECT_ID(N'hub.build_fingerprint', N'P') IS NULL
    EXEC (N'CREATE PROCEDURE hub.build_fingerprint AS RETURN 0;');
GO
ALTER PROCEDURE hub.build_fingerprint
WITH EXECUTE AS OWNER
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @shape TABLE (place int NOT NULL PRIMARY KEY, words nvarchar(1000) NOT NULL);
    DECLARE @hash varbinary(32), @place int, @last int, @build nvarchar(100), @tables int, @missing int;

    SELECT TOP (1) @build = build FROM hub.build;
    SELECT @tables = COUNT(*)
    FROM hub.mapped_table AS m
    INNER JOIN sys.schemas AS s ON s.name = m.schema_name
    INNER JOIN sys.tables AS t ON t.schema_id = s.schema_id AND t.name = m.table_name;
    SELECT @missing = COUNT(*) - @tables FROM hub.mapped_table;

    INSERT INTO @shape (place, words)
    SELECT ROW_NUMBER() OVER (ORDER BY m.schema_name, m.table_name, c.name),
        m.schema_name + N'.' + m.table_name + N'.' + c.name + N':' + CONVERT(nvarchar(10), c.system_type_id) + N','
            + CONVERT(nvarchar(10), c.max_length) + N',' + CONVERT(nvarchar(10), c.[precision]) + N','
            + CONVERT(nvarchar(10), c.scale) + N',' + CONVERT(nvarchar(1), c.is_nullable)
    FROM hub.mapped_table AS m
    INNER JOIN sys.schemas AS s ON s.name = m.schema_name
    INNER JOIN sys.tables AS t ON t.schema_id = s.schema_id AND t.name = m.table_name
    INNER JOIN sys.columns AS c ON c.object_id = t.object_id;

    -- HASHBYTES takes 8,000 bytes at most before SQL Server 2016, so the hash is carried from column to column.
    SET @hash = HASHBYTES('SHA2_256', CONVERT(varbinary(200), ISNULL(@build, N'')));
    SELECT @place = 1, @last = MAX(place) FROM @shape;
    WHILE @place <= @last
    BEGIN
        SELECT @hash = HASHBYTES('SHA2_256', @hash + CONVERT(varbinary(2000), words)) FROM @shape WHERE place = @place;
        SET @place = @place + 1;
    END;

    SELECT @build AS build, CONVERT(char(64), @hash, 2) AS fingerprint, @tables AS tables, @missing AS missing;
    RETURN 0;
END;
GO
-- 6. Rights ----------------------------------------------------------------------------------------------------------
GRANT SELECT ON OBJECT::hub.accounts TO hub_reader;
GRANT SELECT ON OBJECT::hub.products TO hub_reader;
GRANT SELECT ON OBJECT::hub.warehouses TO hub_reader;
GRANT SELECT ON OBJECT::hub.stock TO hub_reader;
GRANT SELECT ON OBJECT::hub.customer_finance TO hub_reader;
GRANT SELECT ON OBJECT::hub.vouchers TO hub_reader;
GRANT SELECT ON OBJECT::hub.stock_movements TO hub_reader;
GRANT SELECT ON OBJECT::hub.documents TO hub_reader;
GRANT SELECT ON OBJECT::hub.document_lines TO hub_reader;
GRANT SELECT ON OBJECT::hub.ledgers TO hub_reader;
GRANT SELECT ON OBJECT::hub.groups TO hub_reader;
GRANT SELECT ON OBJECT::hub.attributes TO hub_reader;
GRANT SELECT ON OBJECT::hub.places TO hub_reader;
GRANT SELECT ON OBJECT::hub.cities TO hub_reader;
GRANT SELECT ON OBJECT::hub.cost_centres TO hub_reader;
GRANT SELECT ON OBJECT::hub.units TO hub_reader;
GRANT SELECT ON OBJECT::hub.build TO hub_reader;
GRANT SELECT ON OBJECT::hub.contract_version TO hub_reader;
GRANT SELECT ON OBJECT::hub.horizon TO hub_reader;
GRANT SELECT ON OBJECT::hub.outcome TO hub_reader;
GRANT EXECUTE ON OBJECT::hub.build_fingerprint TO hub_reader;
GRANT EXECUTE ON OBJECT::hub.post_document TO hub_writer;
GRANT EXECUTE ON OBJECT::hub.post_account TO hub_writer;
GRANT EXECUTE ON OBJECT::hub.post_product TO hub_writer;
GRANT EXECUTE ON OBJECT::hub.put_answer TO hub_writer;
GO
