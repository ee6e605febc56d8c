from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Users and accounts"

    def ready(self) -> None:
        from accounts import admission, events, exports
        from accounts.services.audit import audit_record
        from speedtrade.lib.admission import register_doorman
        from speedtrade.lib.audit import register_recorder
        from speedtrade.lib.live import register_renderer

        register_doorman(admission)
        register_recorder(audit_record)
        register_renderer("account", events.render)
        exports.register()
