module github.com/gatestay/gatestay/e2e

go 1.26.0

require (
	github.com/gatestay/gatestay/libs v0.0.0
	github.com/gatestay/gatestay/schemas v0.0.0
	github.com/gatestay/gatestay/services/approval v0.0.0
	github.com/gatestay/gatestay/services/archival v0.0.0
	github.com/gatestay/gatestay/services/gatestay v0.0.0
	github.com/gatestay/gatestay/services/gateway v0.0.0
	github.com/gatestay/gatestay/services/masking v0.0.0
	github.com/gatestay/gatestay/services/policy v0.0.0
)

require (
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.47.0 // indirect
)

replace github.com/gatestay/gatestay/schemas => ../schemas

replace github.com/gatestay/gatestay/libs => ../libs

replace github.com/gatestay/gatestay/services/gateway => ../services/gateway

replace github.com/gatestay/gatestay/services/policy => ../services/policy

replace github.com/gatestay/gatestay/services/masking => ../services/masking

replace github.com/gatestay/gatestay/services/approval => ../services/approval

replace github.com/gatestay/gatestay/services/archival => ../services/archival

replace github.com/gatestay/gatestay/services/gatestay => ../services/gatestay
