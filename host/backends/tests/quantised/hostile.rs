//! Files that ask for what is not there.
