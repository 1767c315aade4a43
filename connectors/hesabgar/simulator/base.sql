/*
The simulated company's own tables. EVERY NAME AND EVERY COLUMN HERE IS GUESSWORK: nothing public documents Hesabgar's
tables, and a real site's are different. They only look like what such a database tends to look like: short prefixes,
surrogate keys, codes as text, Persian words written with the Arabic ي and ك.
*/
CREATE TABLE dbo.SYS_Info (
    InfoID int NOT NULL CONSTRAINT PK_SYS_Info PRIMARY KEY,
    Company nvarchar(100) NOT NULL,
    Build nvarchar(50) NOT NULL
);
CREATE TABLE dbo.SYS_Period (
    FiscalYear smallint NOT NULL CONSTRAINT PK_SYS_Period PRIMARY KEY,
    StartDate date NOT NULL,
    EndDate date NOT NULL,
    IsClosed bit NOT NULL
);
CREATE TABLE dbo.SYS_Counter (
    FiscalYear smallint NOT NULL,
    Kind varchar(30) NOT NULL,
    LastNumber int NOT NULL,
    CONSTRAINT PK_SYS_Counter PRIMARY KEY (FiscalYear, Kind)
);
CREATE TABLE dbo.SYS_Option (
    Name varchar(30) NOT NULL CONSTRAINT PK_SYS_Option PRIMARY KEY,
    Value nvarchar(50) NOT NULL
);
CREATE TABLE dbo.BAS_City (
    CityID int NOT NULL CONSTRAINT PK_BAS_City PRIMARY KEY,
    CityName nvarchar(50) NOT NULL,
    Ostan nvarchar(50) NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.BAS_CostCenter (
    CostID int NOT NULL CONSTRAINT PK_BAS_CostCenter PRIMARY KEY,
    CostCode nvarchar(20) NOT NULL CONSTRAINT UQ_BAS_CostCenter UNIQUE,
    CostName nvarchar(100) NOT NULL,
    IsActive bit NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.ACC_Moin (
    MoinID int NOT NULL CONSTRAINT PK_ACC_Moin PRIMARY KEY,
    MoinCode nvarchar(20) NOT NULL CONSTRAINT UQ_ACC_Moin UNIQUE,
    MoinName nvarchar(100) NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.ACC_Group (
    GroupID int NOT NULL CONSTRAINT PK_ACC_Group PRIMARY KEY,
    GroupCode nvarchar(20) NOT NULL CONSTRAINT UQ_ACC_Group UNIQUE,
    GroupName nvarchar(100) NOT NULL,
    IsTafsili bit NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.ACC_Account (
    AccID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_ACC_Account PRIMARY KEY,
    AccCode nvarchar(20) NOT NULL CONSTRAINT UQ_ACC_Account UNIQUE,
    AccName nvarchar(150) NOT NULL,
    AccType tinyint NOT NULL,
    GroupID int NULL,
    TafsiliID int NULL,
    MoinID int NULL,
    CityID int NULL,
    CostID int NULL,
    Tel nvarchar(30) NULL,
    Mobile nvarchar(30) NULL,
    Addr nvarchar(250) NULL,
    MelliCode nvarchar(20) NULL,
    EconomyCode nvarchar(20) NULL,
    IsMoaf bit NOT NULL,
    IsLocked bit NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.BAS_Place (
    PlaceID int NOT NULL CONSTRAINT PK_BAS_Place PRIMARY KEY,
    PlaceCode nvarchar(20) NOT NULL CONSTRAINT UQ_BAS_Place UNIQUE,
    PlaceName nvarchar(100) NOT NULL,
    CityID int NULL,
    AccID int NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.ACC_Etebar (
    AccID int NOT NULL CONSTRAINT PK_ACC_Etebar PRIMARY KEY,
    Direct decimal(19,0) NOT NULL,
    Asnadi decimal(19,0) NOT NULL,
    Mande decimal(19,0) NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.ACC_Check (
    CheckID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_ACC_Check PRIMARY KEY,
    AccID int NOT NULL,
    CheckNo nvarchar(30) NULL,
    Amount decimal(19,0) NOT NULL,
    DueDate date NULL,
    Vaziat tinyint NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE INDEX IX_ACC_Check_AccID ON dbo.ACC_Check (AccID);
CREATE TABLE dbo.ACC_Sanad (
    SanadID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_ACC_Sanad PRIMARY KEY,
    FiscalYear smallint NOT NULL,
    SanadNo int NOT NULL,
    SanadDate date NOT NULL,
    Sharh nvarchar(250) NULL,
    Kind varchar(30) NULL,
    DocNo int NULL,
    RowVer rowversion NOT NULL,
    CONSTRAINT UQ_ACC_Sanad UNIQUE (FiscalYear, SanadNo)
);
CREATE TABLE dbo.ACC_SanadRow (
    SanadID int NOT NULL,
    RowNo int NOT NULL,
    AccID int NOT NULL,
    Bed decimal(19,0) NOT NULL,
    Bes decimal(19,0) NOT NULL,
    Sharh nvarchar(250) NULL,
    RowVer rowversion NOT NULL,
    CONSTRAINT PK_ACC_SanadRow PRIMARY KEY (SanadID, RowNo),
    CONSTRAINT FK_ACC_SanadRow_Sanad FOREIGN KEY (SanadID) REFERENCES dbo.ACC_Sanad (SanadID)
);
CREATE INDEX IX_ACC_SanadRow_AccID ON dbo.ACC_SanadRow (AccID);
CREATE TABLE dbo.STK_Vahed (
    VahedID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_STK_Vahed PRIMARY KEY,
    VahedName nvarchar(30) NOT NULL CONSTRAINT UQ_STK_Vahed UNIQUE,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.STK_Group (
    GroupID int NOT NULL CONSTRAINT PK_STK_Group PRIMARY KEY,
    GroupCode nvarchar(20) NOT NULL CONSTRAINT UQ_STK_Group UNIQUE,
    GroupName nvarchar(100) NOT NULL,
    ParentID int NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.STK_Anbar (
    AnbarID int NOT NULL CONSTRAINT PK_STK_Anbar PRIMARY KEY,
    AnbarCode nvarchar(10) NOT NULL CONSTRAINT UQ_STK_Anbar UNIQUE,
    AnbarName nvarchar(50) NOT NULL,
    IsActive bit NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.STK_Moshakhase (
    MoshID int NOT NULL CONSTRAINT PK_STK_Moshakhase PRIMARY KEY,
    MoshCode nvarchar(20) NOT NULL CONSTRAINT UQ_STK_Moshakhase UNIQUE,
    MoshName nvarchar(100) NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.STK_Kala (
    KalaID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_STK_Kala PRIMARY KEY,
    KalaCode nvarchar(20) NOT NULL CONSTRAINT UQ_STK_Kala UNIQUE,
    KalaName nvarchar(150) NOT NULL,
    VahedID int NOT NULL,
    Vahed2ID int NULL,
    Zarib decimal(18,5) NULL,
    GroupID int NULL,
    Fi decimal(19,0) NULL,
    Barcode nvarchar(30) NULL,
    IsMoaf bit NOT NULL,
    Maliat decimal(5,2) NULL,
    Avarez decimal(5,2) NULL,
    IsKhadamat bit NOT NULL,
    IsActive bit NOT NULL,
    RowVer rowversion NOT NULL
);
CREATE TABLE dbo.STK_Mojoodi (
    KalaID int NOT NULL,
    AnbarID int NOT NULL,
    MoshID int NOT NULL,
    Meghdar decimal(18,5) NOT NULL,
    RowVer rowversion NOT NULL,
    CONSTRAINT PK_STK_Mojoodi PRIMARY KEY (KalaID, AnbarID, MoshID)
);
CREATE TABLE dbo.STK_Doc (
    DocID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_STK_Doc PRIMARY KEY,
    FiscalYear smallint NOT NULL,
    Kind varchar(30) NOT NULL,
    DocNo int NOT NULL,
    DocDate date NOT NULL,
    AccID int NULL,
    AnbarID int NULL,
    SanadID int NULL,
    OriginalID int NULL,
    Khales decimal(19,0) NOT NULL,
    Maliat decimal(19,0) NOT NULL,
    Avarez decimal(19,0) NOT NULL,
    Ghabel decimal(19,0) NOT NULL,
    Tozih nvarchar(500) NULL,
    HubRef nvarchar(100) NULL,
    AnbarID2 int NULL,
    Tasvieh varchar(10) NULL,
    Daryaft varchar(10) NULL,
    RowVer rowversion NOT NULL,
    CONSTRAINT UQ_STK_Doc UNIQUE (FiscalYear, Kind, DocNo)
);
CREATE INDEX IX_STK_Doc_HubRef ON dbo.STK_Doc (HubRef);
CREATE TABLE dbo.STK_DocRow (
    DocID int NOT NULL,
    RowNo int NOT NULL,
    KalaID int NOT NULL,
    AnbarID int NULL,
    MoshID int NOT NULL,
    Meghdar decimal(18,5) NOT NULL,
    Vared decimal(18,5) NOT NULL,
    Sader decimal(18,5) NOT NULL,
    Fi decimal(19,0) NOT NULL,
    Takhfif decimal(19,0) NOT NULL,
    Khales decimal(19,0) NOT NULL,
    Maliat decimal(19,0) NOT NULL,
    Avarez decimal(19,0) NOT NULL,
    RowVer rowversion NOT NULL,
    CONSTRAINT PK_STK_DocRow PRIMARY KEY (DocID, RowNo),
    CONSTRAINT FK_STK_DocRow_Doc FOREIGN KEY (DocID) REFERENCES dbo.STK_Doc (DocID)
);
GO
CREATE PROCEDURE dbo.SYS_NextNumber
    @fiscal_year smallint,
    @kind varchar(30),
    @number int OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    UPDATE dbo.SYS_Counter SET @number = LastNumber = LastNumber + 1 WHERE FiscalYear = @fiscal_year AND Kind = @kind;
    IF @@ROWCOUNT = 0
    BEGIN
        INSERT INTO dbo.SYS_Counter (FiscalYear, Kind, LastNumber) VALUES (@fiscal_year, @kind, 1);
        SET @number = 1;
    END;
END;
GO
