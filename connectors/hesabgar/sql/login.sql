/*
A login for the hub with the least rights: it may read the contract's views and, if it is to post, run the contract's
procedures. It has no right on any table. Run again with another password, it changes the password.
کاربری برای هاب با کمترین دسترسی: خواندن نماهای hub و (در صورت نیاز) اجرای روال‌های ثبت؛ به هیچ جدولی دسترسی ندارد.

The hub fills the double braces before it runs this.
*/
IF SUSER_ID(N'{{login}}') IS NULL
    CREATE LOGIN [{{login}}] WITH PASSWORD = N'{{password}}';
ELSE
    ALTER LOGIN [{{login}}] WITH PASSWORD = N'{{password}}';
GO
IF DATABASE_PRINCIPAL_ID(N'{{login}}') IS NULL
    CREATE USER [{{login}}] FOR LOGIN [{{login}}] WITH DEFAULT_SCHEMA = hub;
GO
ALTER ROLE hub_reader ADD MEMBER [{{login}}];
IF {{writer}} = 1
    ALTER ROLE hub_writer ADD MEMBER [{{login}}];
GO
