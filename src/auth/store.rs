//! The SQL of tickets.

use crate::server::db::{Db, both};

/// A session's ticket, sealed.
pub struct TicketRow {
    /// The cluster that issued it.
    pub cluster: String,
    /// Whose it is.
    pub user_id: String,
    /// The ticket with its CSRF token.
    pub sealed: Vec<u8>,
    /// Epoch seconds, by our clock.
    pub issued_at: i64,
}

/// Keeps a session's ticket in place of an older one. A renewal that ends after a newer one changes nothing; nor does one that ends
/// after the session, which the foreign key refuses.
pub async fn put_ticket(db: &Db, session_key: &str, row: &TicketRow) -> sqlx::Result<()> {
    let sql = "INSERT INTO tickets (session_id, cluster, user_id, sealed, issued_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (session_id) DO UPDATE SET sealed = excluded.sealed, issued_at = excluded.issued_at
               WHERE excluded.issued_at >= tickets.issued_at";
    both!(db, |pool| sqlx::query(sql)
        .bind(session_key)
        .bind(&row.cluster)
        .bind(&row.user_id)
        .bind(&row.sealed)
        .bind(row.issued_at)
        .execute(pool)
        .await
        .map(|_| ()))
}

/// A session's ticket.
pub async fn get_ticket(db: &Db, session_key: &str) -> sqlx::Result<Option<TicketRow>> {
    let sql = "SELECT cluster, user_id, sealed, issued_at FROM tickets WHERE session_id = $1";
    let row: Option<(String, String, Vec<u8>, i64)> = both!(db, |pool| sqlx::query_as(sql).bind(session_key).fetch_optional(pool).await)?;
    Ok(row.map(|(cluster, user_id, sealed, issued_at)| TicketRow { cluster, user_id, sealed, issued_at }))
}
