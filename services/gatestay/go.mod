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
	github.com/ClickHouse/ch-go v0.74.0 // indirect
	github.com/ClickHouse/clickhouse-go/v2 v2.50.0 // indirect
	github.com/andybalholm/brotli v1.2.6 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coreos/go-oidc/v3 v3.21.0 // indirect
	github.com/go-faster/city v1.0.1 // indirect
	github.com/go-faster/errors v0.8.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/paulmach/orb v0.13.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/segmentio/asm v1.2.1 // indirect
	github.com/shopspring/decimal v1.5.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	go.opentelemetry.io/otel v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.47.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/gatestay/gatestay/schemas => ../../schemas

replace github.com/gatestay/gatestay/libs => ../../libs

replace github.com/gatestay/gatestay/services/gateway => ../gateway

replace github.com/gatestay/gatestay/services/policy => ../policy

replace github.com/gatestay/gatestay/services/masking => ../masking

replace github.com/gatestay/gatestay/services/approval => ../approval

replace github.com/gatestay/gatestay/services/archival => ../archival
