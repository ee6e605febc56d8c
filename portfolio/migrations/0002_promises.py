"""What only the database can promise: the ledger is append-only, and a transfer stays in one asset."""

from django.db import migrations

from speedtrade.lib.triggers import append_only

_SAME_ASSET = """
CREATE FUNCTION portfolio_transfer_same_asset() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    giver portfolio_ledgeraccount;
    taker portfolio_ledgeraccount;
BEGIN
    SELECT * INTO giver FROM portfolio_ledgeraccount WHERE id = NEW.source_id;
    SELECT * INTO taker FROM portfolio_ledgeraccount WHERE id = NEW.target_id;
    IF giver.asset <> NEW.asset OR taker.asset <> NEW.asset
       OR giver.brokerage_account_id <> taker.brokerage_account_id THEN
        RAISE EXCEPTION 'a transfer moves one asset inside one account'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER portfolio_transfer_same_asset BEFORE INSERT ON portfolio_transfer
    FOR EACH ROW EXECUTE FUNCTION portfolio_transfer_same_asset();
"""
_SAME_ASSET_REVERSE = """
DROP TRIGGER portfolio_transfer_same_asset ON portfolio_transfer;
DROP FUNCTION portfolio_transfer_same_asset();
"""


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0001_initial")]

    operations = [
        migrations.RunSQL(*append_only("portfolio_transfer")),
        migrations.RunSQL(*append_only("portfolio_journalentry")),
        migrations.RunSQL(*append_only("portfolio_cashtransfer")),
        migrations.RunSQL(_SAME_ASSET, _SAME_ASSET_REVERSE),
    ]
