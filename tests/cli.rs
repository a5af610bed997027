//! The command line without privileges: help, usage errors, validation, inspection.

mod support;

#[test]
fn commands() {
    // The cases name objects by their paths in the package.
    for name in ["dialect", "invalid_sizes", "three_policies", "undeclared", "volatile_maps"] {
        support::object(name);
    }
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
