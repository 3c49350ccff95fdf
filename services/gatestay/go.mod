module github.com/gatestay/gatestay/services/gatestay

go 1.26.0

require (
	github.com/gatestay/gatestay/libs v0.0.0
	github.com/gatestay/gatestay/schemas v0.0.0
	github.com/gatestay/gatestay/services/approval v0.0.0
	github.com/gatestay/gatestay/services/archival v0.0.0
	github.com/gatestay/gatestay/services/gateway v0.0.0
	github.com/gatestay/gatestay/services/masking v0.0.0
	github.com/gatestay/gatestay/services/policy v0.0.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.47.0 // indirect
)

replace github.com/gatestay/gatestay/schemas => ../../schemas

replace github.com/gatestay/gatestay/libs => ../../libs

replace github.com/gatestay/gatestay/services/gateway => ../gateway

replace github.com/gatestay/gatestay/services/policy => ../policy

replace github.com/gatestay/gatestay/services/masking => ../masking

replace github.com/gatestay/gatestay/services/approval => ../approval

replace github.com/gatestay/gatestay/services/archival => ../archival
