-- Roles and databases for processes that find them by BANYAN_<CONTEXT>_DATABASE_URL. Run once, as a superuser, on
-- PostgreSQL 17 or newer; the databases may be spread over several servers, each with the roles that it needs.
-- Change the passwords. Tables come with Banyan: each process brings its own database up to date.
--
-- With any other locale provider searching for Hangul finds nothing.
CREATE ROLE gateway LOGIN PASSWORD 'change-gateway';
CREATE ROLE iam LOGIN PASSWORD 'change-iam';
CREATE ROLE learning LOGIN PASSWORD 'change-learning';
CREATE ROLE live LOGIN PASSWORD 'change-live';
CREATE ROLE bus LOGIN PASSWORD 'change-bus';
CREATE ROLE relay LOGIN PASSWORD 'change-relay';

CREATE DATABASE gateway OWNER gateway TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8';
CREATE DATABASE iam OWNER iam TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8';
CREATE DATABASE learning OWNER learning TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8';
CREATE DATABASE live OWNER live TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8';
CREATE DATABASE bus OWNER bus TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8';

REVOKE ALL ON DATABASE gateway FROM PUBLIC;
REVOKE ALL ON DATABASE iam FROM PUBLIC;
REVOKE ALL ON DATABASE learning FROM PUBLIC;
REVOKE ALL ON DATABASE live FROM PUBLIC;
REVOKE ALL ON DATABASE bus FROM PUBLIC;

-- Guests: the relay reads outboxes; who hears events reads its own queue. What they may do there, Banyan grants.
GRANT CONNECT ON DATABASE iam TO relay;
GRANT CONNECT ON DATABASE learning TO relay;
GRANT CONNECT ON DATABASE bus TO relay;
GRANT CONNECT ON DATABASE bus TO iam;
GRANT CONNECT ON DATABASE bus TO learning;
GRANT CONNECT ON DATABASE bus TO live;
