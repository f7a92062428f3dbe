package blind

import (
	"encoding/json"
	"strings"
	"testing"
)

const key = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n  c3VwZXItc2VjcmV0\n-----END KEY-----\n"

func TestASecretOfSeveralLinesIsHiddenLineByLine(t *testing.T) {
	b := Of([]string{key})
	for _, text := range []string{
		key, "+ MIIEpAIBAAKCAQEA", "    c3VwZXItc2VjcmV0\r\n", "before MIIEpAIBAAKCAQEA after", `{"key":"MIIEpAIBAAKCAQEA\nc3V`,
	} {
		for _, line := range []string{"MIIEpAIBAAKCAQEA", "c3VwZXItc2VjcmV0"} {
			if told := b.Text(text); strings.Contains(told, line) {
				t.Errorf("%q tells %q", told, line)
			}
		}
	}
	if whole := b.Text("a " + key + "z"); whole != "a "+Hidden+"z" {
		t.Errorf("%q", whole)
	}
}

func TestASecretIsHiddenHoweverItIsCutIntoWrites(t *testing.T) {
	text := "one hunter2hunter2 two " + key + "three hunter2hunt"
	want := "one " + Hidden + " two " + Hidden + "three hunter2hunt"
	for size := 1; size < len(text); size++ {
		var said strings.Builder
		w := Of([]string{key, "hunter2hunter2"}).Writer(&said)
		for at := 0; at < len(text); at += size {
			piece := text[at:min(at+size, len(text))]
			if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if err := w.Flush(); err != nil || said.String() != want {
			t.Errorf("in pieces of %d: %q, %v", size, said.String(), err)
		}
	}
}

func TestNothingIsKeptBackThatCannotBeASecret(t *testing.T) {
	var said strings.Builder
	w := Of([]string{"hunter2"}).Writer(&said)
	_, _ = w.Write([]byte("Updating (dev):\n"))
	if said.String() != "Updating (dev):\n" {
		t.Errorf("%q", said.String())
	}
}

func TestTheLongestSecretWinsAndOnesWithinItAreGone(t *testing.T) {
	if told := Of([]string{"hunter", "hunter2", "unter"}).Text("hunter2 hunter unter"); told != "[secret] [secret] [secret]" {
		t.Errorf("%q", told)
	}
}

func TestASecretIsHiddenWithinJSONToo(t *testing.T) {
	secret := "a<b> & \"quoted\"\nsecond line"
	quoted, _ := json.Marshal(map[string]string{"v": secret})
	if told := Of([]string{secret}).Text(string(quoted)); told != `{"v":"`+Hidden+`"}` {
		t.Errorf("%q", told)
	}
}

func TestWhatIsTooShortToBeASecretIsLeft(t *testing.T) {
	text := "{\n  name: ab true\n}"
	if told := Of([]string{"ab", "true", "{\nname:\n}\n", ""}).Text(text); told != text {
		t.Errorf("%q", told)
	}
	if Of([]string{"ab"}) != nil || Of(nil) != nil {
		t.Error("nothing is to be hidden")
	}
}

func TestWithoutSecretsAllIsToldAsItIs(t *testing.T) {
	var said strings.Builder
	var none *Blinder
	w := none.Writer(&said)
	_, _ = w.Write([]byte("plain"))
	if err := w.Flush(); err != nil || said.String() != "plain" || none.Text("plain") != "plain" {
		t.Errorf("%q, %v", said.String(), err)
	}
}
