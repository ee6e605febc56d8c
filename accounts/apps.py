from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Users and accounts"

    def ready(self) -> None:
        from accounts import admission, exports
        from accounts.services.audit import audit_record
        from speedtrade.lib.admission import register_doorman
        from speedtrade.lib.audit import register_recorder

        register_doorman(admission)
        register_recorder(audit_record)
        exports.register()
