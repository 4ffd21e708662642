//! Writes what is made from the source.

fn main() -> std::io::Result<()> {
    std::fs::write(unisend_capi_check::header_path(), unisend_capi_check::header())
}
