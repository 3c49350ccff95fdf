module github.com/gatestay/gatestay/services/gatestay

go 1.26

require (
	github.com/gatestay/gatestay/libs v0.0.0
	github.com/gatestay/gatestay/schemas v0.0.0
	github.com/gatestay/gatestay/services/approval v0.0.0
	github.com/gatestay/gatestay/services/archival v0.0.0
	github.com/gatestay/gatestay/services/gateway v0.0.0
	github.com/gatestay/gatestay/services/masking v0.0.0
	github.com/gatestay/gatestay/services/policy v0.0.0
)

replace github.com/gatestay/gatestay/schemas => ../../schemas

replace github.com/gatestay/gatestay/libs => ../../libs

replace github.com/gatestay/gatestay/services/gateway => ../gateway

replace github.com/gatestay/gatestay/services/policy => ../policy

replace github.com/gatestay/gatestay/services/masking => ../masking

replace github.com/gatestay/gatestay/services/approval => ../approval

replace github.com/gatestay/gatestay/services/archival => ../archival
