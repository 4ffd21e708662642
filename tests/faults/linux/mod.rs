//! Linux, on the processors whose registers are known here.

mod cases;
mod contract;
mod registers;
mod stage;
mod supervisor;
mod table;
