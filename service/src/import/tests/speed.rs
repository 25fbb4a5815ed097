//! How fast it is; run by hand: `cargo nextest run -p service --release --run-ignored only speed --no-capture`.

use std::fmt::Write;
use std::time::Instant;

use super::Fixture;

#[tokio::test]
#[ignore = "takes a while, and measures"]
async fn speed_of_an_import() {
    let rows: u32 = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(200_000);
    let mut file = "email;first name;last name;company;owner;recipient id;message id;city\n".to_owned();
    for row in 0..rows {
        // Most people are with a few providers.
        let domain = if row % 10 < 6 { row % 10 } else { row % 5_000 };
        writeln!(
            file,
            "person.{row}@d{domain}.example;Erika;Muster {row};Company {domain};o{};{row};<{row}@mail>;Bonn",
            row % 20
        )
        .expect("written");
    }
    for fixture in Fixture::each().await {
        for pass in ["new", "again"] {
            let begun = Instant::now();
            let result = fixture.import(&file).await;
            let seconds = begun.elapsed().as_secs_f64();
            let (rate, counts) = (f64::from(rows) / seconds, result.counts);
            std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{pass}: {rate:.0} rows/s, {counts:?}\n"))
                .expect("written");
        }
        fixture.check_figures().await;
        fixture.close().await;
    }
}
