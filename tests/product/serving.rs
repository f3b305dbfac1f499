//! `samara serve` as a user meets it: the program, on real functions, asked
//! over real connections.
