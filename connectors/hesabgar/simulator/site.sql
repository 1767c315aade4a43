/*
The simulated company's own procedures: how a document of the inbox gets into its tables. A real site's differ; this one
behaves like a bookkeeper. Refusals:
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
    DECLARE @words nvarchar(2048), @line int, @code nvarchar(50), @have nvarchar(40), @sign int, @moves bit, @money bit;
    DECLARE @kind varchar(30), @date date, @account nvarchar(50), @acc_id int, @closed bit, @payable decimal(19,0),
        @vat decimal(19,0), @duty decimal(19,0), @method varchar(10), @from_id int, @to_id int, @doc_id int, @doc_no int,
        @sanad_id int, @sanad_no int, @original_id int, @note nvarchar(1000), @to_warehouse nvarchar(50),
        @original_external_id nvarchar(100), @original_number nvarchar(50), @bed decimal(38,0), @bes decimal(38,0),
        @warehouse nvarchar(50), @net decimal(19,0), @payment varchar(10), @original_fiscal_year smallint;
    DECLARE @rows TABLE (
        line int NOT NULL PRIMARY KEY, product nvarchar(50) NOT NULL, warehouse nvarchar(50) NULL,
        attribute nvarchar(50) NOT NULL, kala_id int NULL, anbar_id int NULL, mosh_id int NULL, service bit NULL,
        quantity decimal(18,5) NOT NULL);
    DECLARE @entries TABLE (
        place int IDENTITY(1,1) NOT NULL PRIMARY KEY, code nvarchar(50) NULL, acc_id int NULL, bed decimal(19,0) NOT NULL,
        bes decimal(19,0) NOT NULL, words nvarchar(250) NULL);

    SELECT @kind = kind, @date = date, @account = account, @payable = payable, @net = net, @vat = vat, @duty = duty,
        @method = method, @payment = payment, @note = note, @warehouse = warehouse, @to_warehouse = to_warehouse,
        @original_external_id = original_external_id, @original_fiscal_year = original_fiscal_year,
        @original_number = original_number
    FROM hub.document_in
    WHERE external_id = @external_id;

    IF EXISTS (SELECT 1 FROM dbo.STK_Doc WHERE HubRef = @external_id)
        THROW 50107, N'این سند پیش‌تر در حسابگر ثبت شده است. The document is in the books already.', 1;

    -- The period.
    SELECT @fiscal_year = FiscalYear, @closed = IsClosed
    FROM dbo.SYS_Period
    WHERE @date BETWEEN StartDate AND EndDate;
    IF @fiscal_year IS NULL OR @closed = 1
    BEGIN
        SET @words = N'دورهٔ مالی تاریخ ' + CONVERT(nvarchar(10), @date, 23)
            + CASE WHEN @closed = 1 THEN N' بسته است.' ELSE N' تعریف نشده است.' END + N' The period is closed or unknown.';
        THROW 50105, @words, 1;
    END;

    -- The account.
    IF @account IS NOT NULL
    BEGIN
        SELECT @acc_id = AccID FROM dbo.ACC_Account WHERE AccCode = @account AND IsLocked = 0;
        IF @acc_id IS NULL
        BEGIN
            SET @words = N'حساب «' + @account + N'» در حسابگر نیست یا قفل است. Unknown or locked account.';
            THROW 50101, @words, 1;
        END;
    END;
    IF @acc_id IS NULL AND @kind NOT IN ('transfer', 'goods_issue', 'goods_receipt')
        THROW 50115, N'حساب طرف سند نیامده است. The document names no account.', 1;

    -- The lines.
    INSERT INTO @rows (line, product, warehouse, attribute, kala_id, anbar_id, mosh_id, service, quantity)
    SELECT l.line, l.product, l.warehouse, l.attribute, k.KalaID, a.AnbarID,
        CASE WHEN l.attribute = N'' THEN 0 ELSE m.MoshID END, k.IsKhadamat, l.quantity
    FROM hub.document_line_in AS l
    LEFT JOIN dbo.STK_Kala AS k ON k.KalaCode = l.product AND k.IsActive = 1
    LEFT JOIN dbo.STK_Anbar AS a ON a.AnbarCode = l.warehouse AND a.IsActive = 1
    LEFT JOIN dbo.STK_Moshakhase AS m ON m.MoshCode = l.attribute
    WHERE l.external_id = @external_id;

    SELECT TOP (1) @line = line, @code = product FROM @rows WHERE kala_id IS NULL ORDER BY line;
    IF @line IS NOT NULL
    BEGIN
        SET @words = N'سطر ' + CONVERT(nvarchar(10), @line) + N': کالای «' + @code + N'» در حسابگر نیست. Unknown product.';
        THROW 50102, @words, 1;
    END;
    SELECT TOP (1) @line = line, @code = product FROM @rows WHERE quantity <= 0 ORDER BY line;
    IF @line IS NOT NULL
    BEGIN
        SET @words = N'سطر ' + CONVERT(nvarchar(10), @line) + N': مقدار کالای «' + @code
            + N'» باید بیشتر از صفر باشد. The quantity must be above zero.';
        THROW 50116, @words, 1;
    END;
    SELECT TOP (1) @line = line, @code = attribute FROM @rows WHERE mosh_id IS NULL ORDER BY line;
    IF @line IS NOT NULL
    BEGIN
        SET @words = N'سطر ' + CONVERT(nvarchar(10), @line) + N': مشخصهٔ «' + @code + N'» در حسابگر نیست. Unknown attribute.';
        THROW 50112, @words, 1;
    END;

    SET @sign = CASE WHEN @kind IN ('sales_invoice', 'goods_issue', 'transfer') THEN -1
        WHEN @kind IN ('sales_return', 'purchase_invoice', 'goods_receipt') THEN 1 ELSE 0 END;
    IF @sign <> 0
    BEGIN
        SELECT TOP (1) @line = line, @code = warehouse FROM @rows WHERE anbar_id IS NULL AND service = 0 ORDER BY line;
        IF @line IS NOT NULL
        BEGIN
            SET @words = N'سطر ' + CONVERT(nvarchar(10), @line) + N': انبار «' + ISNULL(@code, N'')
                + N'» در حسابگر نیست. Unknown warehouse.';
            THROW 50103, @words, 1;
        END;
    END;
    IF @warehouse IS NOT NULL
        SELECT @from_id = AnbarID FROM dbo.STK_Anbar WHERE AnbarCode = @warehouse;
    IF @kind = 'transfer'
    BEGIN
        SELECT @to_id = AnbarID FROM dbo.STK_Anbar WHERE AnbarCode = @to_warehouse AND IsActive = 1;
        IF @to_id IS NULL
        BEGIN
            SET @words = N'انبار مقصد «' + ISNULL(@to_warehouse, N'') + N'» در حسابگر نیست. Unknown receiving warehouse.';
            THROW 50103, @words, 1;
        END;
    END;

    -- A return's sale.
    IF @kind = 'sales_return' AND (@original_external_id IS NOT NULL OR @original_number IS NOT NULL)
    BEGIN
        SELECT TOP (1) @original_id = DocID
        FROM dbo.STK_Doc
        WHERE Kind = 'sales_invoice'
            AND ((@original_external_id IS NOT NULL AND HubRef = @original_external_id)
                OR (@original_external_id IS NULL AND CONVERT(nvarchar(50), DocNo) = @original_number
                    AND (@original_fiscal_year IS NULL OR FiscalYear = @original_fiscal_year)))
        ORDER BY DocID DESC;
        IF @original_id IS NULL
            THROW 50113, N'فاکتور اصلیِ این برگشتی در حسابگر نیست. The original sale isn''t in the books.', 1;
        SELECT TOP (1) @line = r.line, @code = r.product
        FROM @rows AS r
        WHERE (SELECT SUM(x.quantity) FROM @rows AS x WHERE x.kala_id = r.kala_id)
            + ISNULL((
                SELECT SUM(p.Meghdar)
                FROM dbo.STK_Doc AS d
                INNER JOIN dbo.STK_DocRow AS p ON p.DocID = d.DocID
                WHERE d.OriginalID = @original_id AND p.KalaID = r.kala_id), 0)
            > ISNULL((SELECT SUM(s.Meghdar) FROM dbo.STK_DocRow AS s WHERE s.DocID = @original_id AND s.KalaID = r.kala_id), 0)
        ORDER BY r.line;
        IF @line IS NOT NULL
        BEGIN
            SET @words = N'سطر ' + CONVERT(nvarchar(10), @line) + N': از کالای «' + @code
                + N'» بیش از فروش برگشت داده شده است. More is returned than was sold.';
            THROW 50114, @words, 1;
        END;
    END;

    -- The document, numbered per kind and fiscal year.
    EXEC dbo.SYS_NextNumber @fiscal_year, @kind, @doc_no OUTPUT;
    INSERT INTO dbo.STK_Doc (FiscalYear, Kind, DocNo, DocDate, AccID, AnbarID, OriginalID, Khales, Maliat, Avarez, Ghabel,
        Tozih, HubRef, AnbarID2, Tasvieh, Daryaft)
    VALUES (@fiscal_year, @kind, @doc_no, @date, @acc_id, @from_id, @original_id, @net, @vat, @duty, @payable,
        LEFT(@note, 500), @external_id, @to_id, @payment, @method);
    SET @doc_id = SCOPE_IDENTITY();
    INSERT INTO dbo.STK_DocRow (DocID, RowNo, KalaID, AnbarID, MoshID, Meghdar, Vared, Sader, Fi, Takhfif, Khales, Maliat,
        Avarez)
    SELECT @doc_id, r.line, r.kala_id, r.anbar_id, r.mosh_id, r.quantity,
        CASE WHEN @sign = 1 AND r.service = 0 THEN r.quantity ELSE 0 END,
        CASE WHEN @sign = -1 AND r.service = 0 THEN r.quantity ELSE 0 END,
        l.unit_price, l.discount, l.net, l.vat, l.duty
    FROM @rows AS r
    INNER JOIN hub.document_line_in AS l ON l.external_id = @external_id AND l.line = r.line;
    IF @kind = 'transfer'
        INSERT INTO dbo.STK_DocRow (DocID, RowNo, KalaID, AnbarID, MoshID, Meghdar, Vared, Sader, Fi, Takhfif, Khales,
            Maliat, Avarez)
        SELECT @doc_id, 10000 + line, kala_id, @to_id, mosh_id, quantity, quantity, 0, 0, 0, 0, 0, 0
        FROM @rows
        WHERE service = 0;

    -- Stock.
    IF @sign <> 0
    BEGIN
        INSERT INTO dbo.STK_Mojoodi (KalaID, AnbarID, MoshID, Meghdar)
        SELECT DISTINCT r.KalaID, r.AnbarID, r.MoshID, 0
        FROM dbo.STK_DocRow AS r
        WHERE r.DocID = @doc_id AND (r.Vared <> 0 OR r.Sader <> 0)
            AND NOT EXISTS (
                SELECT 1 FROM dbo.STK_Mojoodi AS s
                WHERE s.KalaID = r.KalaID AND s.AnbarID = r.AnbarID AND s.MoshID = r.MoshID);
        UPDATE s
        SET Meghdar = s.Meghdar + d.Change
        FROM dbo.STK_Mojoodi AS s
        INNER JOIN (
            SELECT KalaID, AnbarID, MoshID, SUM(Vared - Sader) AS Change
            FROM dbo.STK_DocRow
            WHERE DocID = @doc_id AND (Vared <> 0 OR Sader <> 0)
            GROUP BY KalaID, AnbarID, MoshID
        ) AS d ON d.KalaID = s.KalaID AND d.AnbarID = s.AnbarID AND d.MoshID = s.MoshID;
        IF EXISTS (SELECT 1 FROM dbo.SYS_Option WHERE Name = 'negative_stock' AND Value = N'refuse')
        BEGIN
            SELECT TOP (1) @line = r.line, @code = r.product, @have = CONVERT(nvarchar(40), s.Meghdar)
            FROM @rows AS r
            INNER JOIN dbo.STK_Mojoodi AS s ON s.KalaID = r.kala_id AND s.AnbarID = r.anbar_id AND s.MoshID = r.mosh_id
            WHERE s.Meghdar < 0 AND @sign = -1
            ORDER BY r.line;
            IF @line IS NOT NULL
            BEGIN
                SET @words = N'سطر ' + CONVERT(nvarchar(10), @line) + N': موجودی کالای «' + @code + N'» منفی می‌شود ('
                    + @have + N'). Stock would go below zero.';
                THROW 50104, @words, 1;
            END;
        END;
    END;

    -- The voucher: customer or supplier against sales, purchases, tax, or the cash box.
    IF @kind = 'sales_invoice'
        INSERT INTO @entries (code, acc_id, bed, bes, words)
        SELECT NULL, @acc_id, @payable, 0, N'فاكتور فروش'
        UNION ALL
        SELECT N'410001', NULL, 0, ISNULL(SUM(net), 0), N'فروش كالا' FROM hub.document_line_in WHERE external_id = @external_id;
    IF @kind = 'sales_return'
        INSERT INTO @entries (code, acc_id, bed, bes, words)
        SELECT NULL, @acc_id, 0, @payable, N'برگشت از فروش'
        UNION ALL
        SELECT N'410002', NULL, ISNULL(SUM(net), 0), 0, N'برگشت از فروش'
        FROM hub.document_line_in WHERE external_id = @external_id;
    IF @kind = 'purchase_invoice'
        INSERT INTO @entries (code, acc_id, bed, bes, words)
        SELECT NULL, @acc_id, 0, @payable, N'فاكتور خريد'
        UNION ALL
        SELECT N'510001', NULL, ISNULL(SUM(net), 0), 0, N'خريد كالا' FROM hub.document_line_in WHERE external_id = @external_id;
    IF @kind = 'receipt'
        INSERT INTO @entries (code, acc_id, bed, bes, words)
        VALUES (NULL, @acc_id, 0, @payable, N'دريافت وجه'),
            (CASE @method WHEN 'cheque' THEN N'110301' WHEN 'card' THEN N'110201' ELSE N'110101' END, NULL, @payable, 0,
                N'دريافت وجه');
    IF @kind IN ('sales_invoice', 'sales_return', 'purchase_invoice')
        INSERT INTO @entries (code, acc_id, bed, bes, words)
        SELECT t.code, NULL, CASE @kind WHEN 'sales_invoice' THEN 0 ELSE t.amount END,
            CASE @kind WHEN 'sales_invoice' THEN t.amount ELSE 0 END, t.words
        FROM (
            SELECT ISNULL(d.vat_account, N'') AS code, SUM(l.vat) AS amount, N'ماليات بر ارزش افزوده' AS words
            FROM hub.document_in AS d
            INNER JOIN hub.document_line_in AS l ON l.external_id = d.external_id
            WHERE d.external_id = @external_id
            GROUP BY d.vat_account
            UNION ALL
            SELECT ISNULL(d.duty_account, N''), SUM(l.duty), N'عوارض شهرداري'
            FROM hub.document_in AS d
            INNER JOIN hub.document_line_in AS l ON l.external_id = d.external_id
            WHERE d.external_id = @external_id
            GROUP BY d.duty_account
        ) AS t
        WHERE t.amount <> 0;

    IF EXISTS (SELECT 1 FROM @entries)
    BEGIN
        UPDATE e SET acc_id = a.AccID FROM @entries AS e INNER JOIN dbo.ACC_Account AS a ON a.AccCode = e.code;
        SELECT TOP (1) @code = code FROM @entries WHERE acc_id IS NULL ORDER BY place;
        IF EXISTS (SELECT 1 FROM @entries WHERE acc_id IS NULL)
        BEGIN
            SET @words = N'حساب «' + ISNULL(@code, N'')
                + N'» که تنظیمات هاب می‌گوید در حسابگر نیست. An account of the hub''s configuration is missing or unknown.';
            THROW 50109, @words, 1;
        END;
        SELECT @bed = SUM(bed), @bes = SUM(bes) FROM @entries;
        IF @bed <> @bes
        BEGIN
            SET @words = N'سند تراز نیست: بدهکار ' + CONVERT(nvarchar(40), @bed) + N' و بستانکار '
                + CONVERT(nvarchar(40), @bes) + N'. The voucher doesn''t balance.';
            THROW 50106, @words, 1;
        END;
        EXEC dbo.SYS_NextNumber @fiscal_year, 'voucher', @sanad_no OUTPUT;
        INSERT INTO dbo.ACC_Sanad (FiscalYear, SanadNo, SanadDate, Sharh, Kind, DocNo)
        VALUES (@fiscal_year, @sanad_no, @date, LEFT(@note, 250), @kind, @doc_no);
        SET @sanad_id = SCOPE_IDENTITY();
        INSERT INTO dbo.ACC_SanadRow (SanadID, RowNo, AccID, Bed, Bes, Sharh)
        SELECT @sanad_id, place, acc_id, bed, bes, words FROM @entries;
        UPDATE e
        SET Mande = e.Mande + t.Change
        FROM dbo.ACC_Etebar AS e
        INNER JOIN (SELECT acc_id, SUM(bed - bes) AS Change FROM @entries GROUP BY acc_id) AS t ON t.acc_id = e.AccID;
        UPDATE dbo.STK_Doc SET SanadID = @sanad_id WHERE DocID = @doc_id;
    END;
    IF @kind = 'receipt' AND @method = 'cheque'
        INSERT INTO dbo.ACC_Check (AccID, CheckNo, Amount, DueDate, Vaziat)
        SELECT @acc_id, cheque_number, payable, cheque_date, 0 FROM hub.document_in WHERE external_id = @external_id;

    SET @number = CONVERT(nvarchar(50), @doc_no);
    SET @voucher_number = CONVERT(nvarchar(50), @sanad_no);
END;
GO
ALTER PROCEDURE hub.site_account
    @external_id nvarchar(100),
    @code nvarchar(50) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @words nvarchar(2048), @last bigint, @acc_id int, @name nvarchar(200);
    SELECT @code = code, @name = name FROM hub.account_in WHERE external_id = @external_id;
    IF EXISTS (SELECT 1 FROM hub.outcome WHERE item = 'account' AND external_id = @external_id)
    BEGIN
        UPDATE a
        SET AccName = LEFT(i.name, 150), Tel = LEFT(i.phones, 30), Addr = LEFT(i.address, 250), IsMoaf = i.vat_exempt,
            IsLocked = CASE i.active WHEN 1 THEN 0 ELSE 1 END
        FROM dbo.ACC_Account AS a
        INNER JOIN hub.account_in AS i ON i.code = a.AccCode
        WHERE i.external_id = @external_id;
        RETURN 0;
    END;
    IF @code IS NULL
    BEGIN
        SELECT @last = MAX(CONVERT(bigint, AccCode)) FROM dbo.ACC_Account WHERE AccType = 1 AND LEN(AccCode) = 9;
        SET @code = CONVERT(nvarchar(50), ISNULL(@last, 212010000) + 1);
    END;
    IF EXISTS (SELECT 1 FROM dbo.ACC_Account WHERE AccCode = @code)
    BEGIN
        SET @words = N'کد حساب «' + @code + N'» پیش‌تر به کار رفته است. The account code is used already.';
        THROW 50111, @words, 1;
    END;
    INSERT INTO dbo.ACC_Account (AccCode, AccName, AccType, GroupID, TafsiliID, MoinID, CityID, CostID, Tel, Addr, MelliCode,
        EconomyCode, IsMoaf, IsLocked)
    SELECT @code, LEFT(i.name, 150), 1, g.GroupID, t.GroupID, m.MoinID, c.CityID, s.CostID, LEFT(i.phones, 30),
        LEFT(i.address, 250), i.national_id, i.economic_code, i.vat_exempt, CASE i.active WHEN 1 THEN 0 ELSE 1 END
    FROM hub.account_in AS i
    LEFT JOIN dbo.ACC_Group AS g ON g.GroupCode = i.group_code
    LEFT JOIN dbo.ACC_Group AS t ON t.GroupCode = i.detail_group
    LEFT JOIN dbo.ACC_Moin AS m ON m.MoinCode = i.ledger_code
    LEFT JOIN dbo.BAS_City AS c ON CONVERT(nvarchar(50), c.CityID) = i.city_code
    LEFT JOIN dbo.BAS_CostCenter AS s ON s.CostCode = i.cost_centre
    WHERE i.external_id = @external_id;
    SET @acc_id = SCOPE_IDENTITY();
    INSERT INTO dbo.ACC_Etebar (AccID, Direct, Asnadi, Mande) VALUES (@acc_id, 0, 0, 0);
END;
GO
ALTER PROCEDURE hub.site_product
    @external_id nvarchar(100),
    @code nvarchar(50) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @words nvarchar(2048), @unit nvarchar(50), @unit_id int, @second nvarchar(50), @second_id int, @last bigint;
    SELECT @code = code, @unit = unit, @second = second_unit FROM hub.product_in WHERE external_id = @external_id;
    -- The hub spells ی and ک the Persian way, the company's tables may have the Arabic one.
    SELECT @unit_id = VahedID FROM dbo.STK_Vahed
    WHERE REPLACE(REPLACE(VahedName, N'ي', N'ی'), N'ك', N'ک') = REPLACE(REPLACE(@unit, N'ي', N'ی'), N'ك', N'ک');
    SELECT @second_id = VahedID FROM dbo.STK_Vahed
    WHERE REPLACE(REPLACE(VahedName, N'ي', N'ی'), N'ك', N'ک') = REPLACE(REPLACE(@second, N'ي', N'ی'), N'ك', N'ک');
    IF @unit_id IS NULL OR (@second IS NOT NULL AND @second_id IS NULL)
    BEGIN
        SET @words = N'واحد «' + CASE WHEN @unit_id IS NULL THEN @unit ELSE @second END
            + N'» در حسابگر نیست. Unknown unit of measure.';
        THROW 50110, @words, 1;
    END;
    IF EXISTS (SELECT 1 FROM hub.outcome WHERE item = 'product' AND external_id = @external_id)
    BEGIN
        UPDATE k
        SET KalaName = LEFT(i.name, 150), VahedID = @unit_id, Vahed2ID = @second_id, Fi = i.price,
            Barcode = LEFT(i.barcode, 30), IsMoaf = i.vat_exempt, Maliat = i.vat_percent, Avarez = i.duty_percent,
            IsKhadamat = CASE i.stocked WHEN 1 THEN 0 ELSE 1 END, IsActive = i.active
        FROM dbo.STK_Kala AS k
        INNER JOIN hub.product_in AS i ON i.code = k.KalaCode
        WHERE i.external_id = @external_id;
        RETURN 0;
    END;
    IF @code IS NULL
    BEGIN
        SELECT @last = MAX(CONVERT(bigint, KalaCode)) FROM dbo.STK_Kala;
        SET @code = CONVERT(nvarchar(50), ISNULL(@last, 10000000000) + 1);
    END;
    IF EXISTS (SELECT 1 FROM dbo.STK_Kala WHERE KalaCode = @code)
    BEGIN
        SET @words = N'کد کالای «' + @code + N'» پیش‌تر به کار رفته است. The product code is used already.';
        THROW 50111, @words, 1;
    END;
    INSERT INTO dbo.STK_Kala (KalaCode, KalaName, VahedID, Vahed2ID, Zarib, GroupID, Fi, Barcode, IsMoaf, Maliat, Avarez,
        IsKhadamat, IsActive)
    SELECT @code, LEFT(i.name, 150), @unit_id, @second_id, i.second_unit_ratio, g.GroupID, i.price, LEFT(i.barcode, 30),
        i.vat_exempt, i.vat_percent, i.duty_percent, CASE i.stocked WHEN 1 THEN 0 ELSE 1 END, i.active
    FROM hub.product_in AS i
    LEFT JOIN dbo.STK_Group AS g ON g.GroupCode = i.group_code
    WHERE i.external_id = @external_id;
END;
GO
