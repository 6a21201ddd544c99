module javelin/tests/yaml-judge

go 1.26.0

// What kubectl 1.37.2 is built with: see crates/testbed/tools/kubernetes/go.mod.
require sigs.k8s.io/yaml v1.6.0

require go.yaml.in/yaml/v2 v2.4.4 // indirect
