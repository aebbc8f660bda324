use std::time::Duration;

use lingate_drivers::settings::{DeTable, Table};
use lingate_drivers::{Device, DeviceSettings, PointSettings};
use lingate_model::PointId;

/// As `config` does it: takes what every device has and hands the rest to the driver.
pub(crate) fn parse(text: &str) -> Box<dyn Device> {
    let file = DeTable::parse(text).unwrap();
    let mut root = Table::new(file.get_ref(), file.span(), "");
    let mut table = root.take("device").tables(1..=1).remove(0);
    let driver = lingate_drivers::driver(&table.take("driver").string().unwrap()).unwrap();
    let every = table.take("every").duration(Duration::from_millis(1)..=Duration::from_secs(60)).unwrap();
    let name = table.take("name").parsed().unwrap();
    table.take("equipment").string();
    let tables = table.take("point").tables(1..=99_999).into_iter().map(without_the_gateways_keys);
    let points = tables.map(|table| PointSettings { every: None, table }).collect();
    let settings = DeviceSettings { name, every, first_point: PointId(0), table, points };
    (driver.parse)(settings).unwrap_or_else(|error| panic!("{error:?}"))
}

fn without_the_gateways_keys(mut table: Table<'_>) -> Table<'_> {
    for key in ["name", "unit", "dataset", "class"] {
        table.take(key).string();
    }
    table
}
