package state

import (
	"net/url"
	"os"
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

func TestAFolderIsTheOneThatTheStockBackendOpens(t *testing.T) {
	for _, c := range []struct{ made, address string }{
		{"plain", "plain"}, {"a b", "a b"}, {"a b", "a%20b"}, {"100%", "100%25"}, {"\u00fc", "%C3%BC"}, {"h", "h#part"},
		{"q", "q?metadata=skip"}, {"x?y", "x%3Fy"}, {"x#y", "x%23y"},
	} {
		b := &bench{T: t, ctx: t.Context(), dir: t.TempDir()}
		b.must(os.Mkdir(b.dir+"/"+c.made, 0o700))
		b.url = fileScheme + b.dir + "/" + c.address
		b.store = b.open()
		b.ref = b.parse("dev")
		b.create()
		b.up("a")
		b.wantURNs(ids("a")...)
		found, err := os.ReadDir(b.dir)
		b.must(err)
		if len(found) != 1 {
			t.Errorf("%s: there are %v", c.address, found)
		}
		if _, err := os.Stat(b.dir + "/" + c.made + "/" + b.keys().history); err != nil {
			t.Errorf("%s: %v", c.address, err)
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
