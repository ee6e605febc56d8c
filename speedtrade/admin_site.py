"""The admin for support staff, under the house's name."""

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig


class SpeedTradeAdminConfig(AdminConfig):
    default_site = "speedtrade.admin_site.SpeedTradeAdminSite"


class SpeedTradeAdminSite(AdminSite):
    site_header = "SpeedTrade support"
    site_title = "SpeedTrade support"
    index_title = "What needs a person"
    enable_nav_sidebar = True
