//! Writes what is made from the source.

use std::fs::{read_to_string, write};

use unisend_capi_check::{header, header_path, manual, manual_path};

fn main() -> std::io::Result<()> {
    let header = header();
    write(header_path(), &header)?;
    write(manual_path(), manual(&read_to_string(manual_path())?, &header))
}
