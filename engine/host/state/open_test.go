package state

import (
	"net/url"
	"testing"
)

func TestTheParametersOfOldAddressesOfS3BecomeWhatTheStockBackendMakesOfThem(t *testing.T) {
	t.Setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "")
	for given, want := range map[string]string{
		"s3://b":                     "s3://b",
		"s3://b?disableSSL=true":     "s3://b?disable_https=true",
		"s3://b?endpoint=minio:9000": "s3://b?endpoint=https://minio:9000&request_checksum_calculation=when_required",
		"s3://b?endpoint=minio:9000&disableSSL=true":                           "s3://b?disable_https=true&endpoint=http://minio:9000&request_checksum_calculation=when_required",
		"s3://b?endpoint=https://m&disableSSL=true":                            "s3://b?endpoint=https://m&request_checksum_calculation=when_required",
		"s3://b?endpoint=http://m&request_checksum_calculation=when_supported": "s3://b?endpoint=http://m&request_checksum_calculation=when_supported",
	} {
		made, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		modernS3(made)
		if plain, _ := url.QueryUnescape(made.String()); plain != want {
			t.Errorf("%s became %s", given, plain)
		}
	}
}

func TestTheEnvironmentSaysWhichChecksumsS3Gets(t *testing.T) {
	t.Setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
	made, _ := url.Parse("s3://b?endpoint=http://m")
	modernS3(made)
	if made.Query().Has(checksums) {
		t.Errorf("%s", made)
	}
}

func TestAzureIsOpenedWithATokenOfTheEnvironmentAndAnAccountOfTheAddress(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")
	storage, _, err := openFiles(t.Context(), "azblob://container?storage_account=ours")
	if err != nil || storage == nil {
		t.Fatal(err)
	}
}
