// Package secret opens what encrypts a place's secrets. A passphrase comes from the request and never
// from the process's environment, because one process serves places with different ones.
package secret

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"pilot/engine/host/memo"

	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/pkg/v3/secrets/passphrase"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// ErrAbsent is the need of a passphrase where none is offered.
var ErrAbsent = errors.New("passphrase must be set: this place offers none")

// proof is what every passphrase's state encrypts, so that a wrong one is found out.
const proof = "pulumi"

// manager is Pulumi's passphrase manager. Pulumi's own is not used, because it remembers what it has
// opened by the salt alone, so that in a process that lives on any passphrase opens what the right one
// has opened before.
type manager struct {
	salt    string
	crypter config.Crypter
}

type state struct {
	Salt string `json:"salt"`
}

func (m *manager) Type() string { return passphrase.Type }

func (m *manager) State() json.RawMessage {
	text, err := json.Marshal(state{m.salt})
	if err != nil {
		panic(err)
	}
	return text
}

func (m *manager) Encrypter() config.Encrypter { return m.crypter }
func (m *manager) Decrypter() config.Decrypter { return m.crypter }

// keys are the derived ones. Deriving one takes a fifth of a second or more of pure computing.
type keys struct {
	opened *memo.Memo[outcome]
	// fresh is what new stacks of a passphrase get.
	fresh *memo.Memo[*manager]
}

// outcome is kept also where the passphrase was wrong: to find that out takes as long.
type outcome struct {
	manager *manager
	err     error
}

// most bounds the memory; what is dropped is derived again.
const most = 4096

var derived = &keys{memo.New[outcome](most), memo.New[*manager](most)}

// hashed stands for a passphrase, which is not kept itself.
func hashed(phrase string) string {
	sum := sha256.Sum256([]byte(phrase))
	return string(sum[:])
}

// open gives the manager of an existing salt.
func (k *keys) open(phrase, salt string) (secrets.Manager, error) {
	found, _ := k.opened.Get(hashed(phrase)+salt, func() (outcome, error) {
		manager, err := derive(phrase, salt)
		return outcome{manager, err}, nil
	})
	if found.err != nil {
		return nil, found.err
	}
	return found.manager, nil
}

// create gives the manager of new stacks: one salt for each passphrase and process. A salt keeps tables
// of guesses from being reused between passphrases; stacks of one passphrase and one process may share
// it, for whoever finds the passphrase of one has that of all. Every value still has its own nonce.
func (k *keys) create(phrase string) (secrets.Manager, error) {
	made, err := k.fresh.Get(hashed(phrase), func() (*manager, error) { return fresh(phrase) })
	if err != nil {
		return nil, err
	}
	k.opened.Put(hashed(phrase)+made.salt, outcome{manager: made})
	return made, nil
}

// derive opens a salt as Pulumi writes it: a version, the salt itself and the encrypted proof.
func derive(phrase, text string) (*manager, error) {
	version, rest, _ := strings.Cut(text, ":")
	encoded, encrypted, complete := strings.Cut(rest, ":")
	if !complete {
		return nil, errors.New("malformed encryption salt")
	}
	if version != "v1" {
		return nil, fmt.Errorf("encryption salt of the unknown version %q", version)
	}
	salt, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("malformed encryption salt: %w", err)
	}
	crypter := config.NewSymmetricCrypterFromPassphrase(phrase, salt)
	found, err := crypter.DecryptValue(context.Background(), encrypted)
	if err != nil || found != proof {
		return nil, passphrase.ErrIncorrectPassphrase
	}
	return &manager{text, crypter}, nil
}

func fresh(phrase string) (*manager, error) {
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	crypter := config.NewSymmetricCrypterFromPassphrase(phrase, salt)
	encrypted, err := crypter.EncryptValue(context.Background(), proof)
	if err != nil {
		return nil, err
	}
	return &manager{"v1:" + base64.StdEncoding.EncodeToString(salt) + ":" + encrypted, crypter}, nil
}

// locked stands for a manager that the passphrase does not open: it keeps its state, and what is not
// secret can be read.
type locked struct{ state json.RawMessage }

func (l locked) Type() string                { return passphrase.Type }
func (l locked) State() json.RawMessage      { return l.state }
func (l locked) Encrypter() config.Encrypter { return closed{} }
func (l locked) Decrypter() config.Decrypter { return closed{} }

type closed struct{}

func (closed) EncryptValue(context.Context, string) (string, error) {
	return "", passphrase.ErrIncorrectPassphrase
}

func (closed) BatchEncrypt(context.Context, []string) ([]string, error) {
	return nil, passphrase.ErrIncorrectPassphrase
}

func (closed) DecryptValue(context.Context, string) (string, error) {
	return "", passphrase.ErrIncorrectPassphrase
}

func (closed) BatchDecrypt(context.Context, []string) ([]string, error) {
	return nil, passphrase.ErrIncorrectPassphrase
}
