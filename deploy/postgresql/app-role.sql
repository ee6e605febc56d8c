-- The role of the running processes, once per database, by who may make roles. It owns nothing;
-- `manage.py prepare` with DATABASE_APP_ROLE gives it its rows after each migration.
\getenv password POSTGRES_APP_PASSWORD
CREATE ROLE speedtrade_app LOGIN PASSWORD :'password';
