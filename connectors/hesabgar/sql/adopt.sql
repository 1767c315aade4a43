/*
For a branch whose accounts and goods have the head office's codes already: lets the contract know them as sent by the hub,
so that what changes at the head office changes them. Codes the head office doesn't have stay as they are. Run it once, as
the database's owner, after the views; running it again does no harm.
برای شعبه‌ای که کد حساب‌ها و کالاهایش همان کدهای دفتر مرکزی است: از این پس تغییرهای دفتر مرکزی روی آن‌ها می‌نشیند.
*/
INSERT INTO hub.outcome (item, external_id, revision, number, posted_at)
SELECT 'account', a.code, 0, a.code, SYSUTCDATETIME() FROM hub.accounts AS a
WHERE NOT EXISTS (SELECT 1 FROM hub.outcome AS o WHERE o.item = 'account' AND o.external_id = a.code);
INSERT INTO hub.outcome (item, external_id, revision, number, posted_at)
SELECT 'product', p.code, 0, p.code, SYSUTCDATETIME() FROM hub.products AS p
WHERE NOT EXISTS (SELECT 1 FROM hub.outcome AS o WHERE o.item = 'product' AND o.external_id = p.code);
GO
