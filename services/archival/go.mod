module github.com/gatestay/gatestay/services/archival

go 1.26

require (
	github.com/gatestay/gatestay/libs v0.0.0
	github.com/gatestay/gatestay/schemas v0.0.0
)

replace github.com/gatestay/gatestay/schemas => ../../schemas

replace github.com/gatestay/gatestay/libs => ../../libs
