//! The committed reference page is the one that the table gives.

mod common;

#[test]
fn the_committed_page_is_fresh() {
    let path = common::crate_file("../../docs/configuration.md");
    common::golden(&path, &config::reference_page());
}

#[test]
fn the_page_names_every_option_once() {
    let page = config::reference_page();
    for spec in config::options::all() {
        let row = format!("| `{}` | ", spec.name);
        assert_eq!(page.matches(&row).count(), 1, "{} has one row", spec.name);
    }
}
