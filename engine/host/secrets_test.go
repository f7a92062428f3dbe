package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func TestNoLineOfASecretOfSeveralLinesIsTold(t *testing.T) {
	lines := []string{"-----BEGIN KEY-----", "MIIEpAIBAAKCAQEA", "c3VwZXItc2VjcmV0", "-----END KEY-----"}
	secret := strings.Join(lines, "\n") + "\n"
	fails := false
	w := newWorld(t, func(ctx *pulumi.Context) error {
		key := config.Get(ctx, "key")
		// A program that does not treat it as the secret that it is, in all ways in which it can tell it.
		var made struct{ pulumi.CustomResourceState }
		inputs := pulumi.Map{"a": pulumi.String("key:\n" + key)}
		if err := ctx.RegisterResource("pilot:index:Thing", "one", inputs, &made); err != nil {
			return err
		}
		if err := ctx.Log.Warn("the key is\n  "+strings.ReplaceAll(key, "\n", "\n  "), nil); err != nil {
			return err
		}
		if err := ctx.Log.Info("its second line: "+strings.Split(key, "\n")[1], nil); err != nil {
			return err
		}
		ctx.Export("key", pulumi.String(key))
		if fails {
			return errors.New("it cannot use " + key)
		}
		return nil
	})
	w.must("stack", "init", "dev", "--no-select")
	run := w.request(w.place, &secret, "config", "set", "--stack", "dev", "--secret", "--raw", "--", "key")
	if said := w.send(t.Context(), run); said.ended.Fault != nil {
		t.Fatalf("%+v", said.ended.Fault)
	}
	check := func(args ...string) {
		said := w.say(args...)
		for _, line := range lines {
			if strings.Contains(said.text, line) {
				t.Errorf("%v tells %q:\n%s%s", args, line, said.stdout, said.stderr)
			}
		}
		if !strings.Contains(said.text, "[secret]") {
			t.Errorf("%v tells nothing of it", args)
		}
	}
	check("preview", "--stack=dev", "--diff")
	check(up("dev")...)
	fails = true
	check(append(up("dev"), "--diff", "--show-sames")...)
}
