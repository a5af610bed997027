//! The command line without privileges: help, usage errors, validation, inspection.

mod support;

#[test]
fn commands() {
    // The cases name objects by their paths in the package.
    for name in ["three_policies", "undeclared"] {
        support::object(name);
    }
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
