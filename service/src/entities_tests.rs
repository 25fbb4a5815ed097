//! Whether the crate `entity` says the same as the schema.

use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait, ColumnType, DatabaseConnection, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, QuerySelect,
};

use crate::db::{Db, query_all};
use crate::testing::TestDb;

/// Table, column, type, whether it can be null, whether it is part of the primary key.
type Column = (String, String, String, bool, bool);

const POSTGRES: &str = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), NOT a.attnotnull,
        EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'seaql_migrations'";

/// SQLite knows less of its own: an id is an `INTEGER` of 64 bits there, and no column of a view is a key or NOT NULL.
const SQLITE: &str = "SELECT t.name, c.name,
        CASE WHEN c.type = 'BLOB' THEN 'bytea' WHEN c.type = 'INTEGER' AND c.pk THEN 'bigint' ELSE lower(c.type) END,
        t.type = 'table' AND NOT c.\"notnull\" AND NOT c.pk, t.type = 'view' OR c.pk > 0
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c
    WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'seaql_migrations'";

async fn in_the_database(db: &Db) -> BTreeSet<Column> {
    let sql = if db.is_postgres() { POSTGRES } else { SQLITE };
    let rows = query_all(db.read(), sql, []).await.expect("columns");
    rows.iter().map(|row| row.try_get_many_by_index().expect("a column")).collect()
}

/// The columns of an entity, having selected them.
async fn of<E: EntityTrait>(db: &DatabaseConnection) -> Vec<Column> {
    let table = E::default().table_name().to_owned();
    E::find().limit(1).all(db).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    let keys: Vec<&str> = E::PrimaryKey::iter().map(|key| key.into_column().as_str()).collect();
    let column = |column: E::Column| {
        let (name, def) = (column.as_str(), column.def());
        let kind = match def.get_column_type() {
            ColumnType::SmallInteger => "smallint",
            ColumnType::Integer => "integer",
            ColumnType::BigInteger => "bigint",
            ColumnType::Boolean => "boolean",
            ColumnType::String(_) => "text",
            ColumnType::VarBinary(_) => "bytea",
            other => panic!("{table}.{name}: no column of ours has the type {other:?}"),
        };
        (table.clone(), name.to_owned(), kind.to_owned(), def.is_null(), keys.contains(&name))
    };
    E::Column::iter().map(column).collect()
}

macro_rules! in_the_crate {
    ($db:expr, $($table:ident)*) => {{
        let mut columns = BTreeSet::new();
        $(columns.extend(of::<entity::$table::Entity>($db).await);)*
        columns
    }};
}

#[tokio::test]
async fn entities_have_the_columns_of_their_tables_and_every_table_has_an_entity() {
    for test in TestDb::each().await {
        let ours = in_the_crate!(test.db.read(),
            address alert api_token attempt audit_entry bounce_statistics campaign campaign_hour
            campaign_source campaign_statistics click complaint correction correction_issue crm_report crm_sync crm_token
            delivery domain_statistics event export_file follow_up import import_issue job link_statistics
            message person person_email project project_member recipient recipient_status reminder
            reminder_check reminder_rule reminder_target schedule_tick selection selection_member session
            setting source_tally tracked_link upload user_account user_recovery_code user_totp
        );
        let theirs = in_the_database(&test.db).await;
        assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), Vec::<&Column>::new(), "only in the crate");
        assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&Column>::new(), "only in the database");
        test.close().await;
    }
}
