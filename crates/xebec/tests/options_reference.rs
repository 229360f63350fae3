//! The reference page `docs/options.md` is what the table says. `cargo xtask docs` writes it.

use std::path::Path;

#[test]
fn the_page_is_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/options.md");
    let expected = xebec::options_reference();
    if std::env::var_os("XEBEC_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(page.parent().expect("a folder")).expect("a folder for it");
        std::fs::write(&page, &expected).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    let mut lines = written.lines().zip(expected.lines());
    let differing = lines.find(|(written, expected)| written != expected);
    assert_eq!(differing, None, "run `cargo xtask docs`");
    assert_eq!(written.len(), expected.len(), "run `cargo xtask docs`");
}
