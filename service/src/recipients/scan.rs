//! Reading a list from its beginning to its end, a piece at a time, in the order of a key.

use super::sql::Sql;

/// Where the rows of a list are read from, and which of them belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// What stands behind `FROM`.
    pub(crate) from: String,
    /// Which rows belong to the list; never empty.
    pub(crate) condition: Sql,
    /// The columns of the key: whole numbers, which together are different for each row.
    pub(crate) keys: &'static [&'static str],
}

impl Scan {
    /// The next rows behind the one with the key `after`, which is empty for the first ones. Each begins with its key.
    pub(crate) fn select(&self, columns: &[&str], after: &[i64], limit: i64) -> Sql {
        let keys = self.keys.join(", ");
        let list: Vec<&str> = self.keys.iter().chain(columns).copied().collect();
        let head = format!("SELECT {} FROM {} WHERE ", list.join(", "), self.from);
        let mut sql = self.condition.clone().prefixed(&head);
        if !after.is_empty() {
            // Not as a row value where one column will do: SQLite would compare each row instead of looking the place up.
            sql.push(&if self.keys.len() == 1 { format!(" AND {keys} > ") } else { format!(" AND ({keys}) > (") });
            sql.bind_all(after.iter().copied()).push(if self.keys.len() == 1 { "" } else { ")" });
        }
        sql.push(&format!(" ORDER BY {keys} LIMIT ")).push_number(limit);
        sql
    }

    /// Counts the rows, but no more than `max + 1` of them.
    pub(crate) fn count(&self, max: i64) -> Sql {
        let mut sql =
            self.condition.clone().prefixed(&format!("SELECT count(*) FROM (SELECT 1 FROM {} WHERE ", self.from));
        sql.push(" LIMIT ").push_number(max + 1).push(") AS counted");
        sql
    }
}
