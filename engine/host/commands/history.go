package commands

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

type historyEntry struct {
	Version         int                    `json:"version"`
	Kind            string                 `json:"kind"`
	StartTime       string                 `json:"startTime"`
	Message         string                 `json:"message"`
	Environment     map[string]string      `json:"environment"`
	Config          map[string]configValue `json:"config"`
	Result          string                 `json:"result,omitempty"`
	EndTime         *string                `json:"endTime,omitempty"`
	ResourceChanges *map[string]int        `json:"resourceChanges,omitempty"`
}

type historyOptions struct {
	asJSON
	ShowSecrets bool `json:"show-secrets"`
	PageSize    int  `json:"page-size"`
	Page        int  `json:"page"`
}

// stackHistory answers a page of updates, the latest first; a size of 0 is all of them.
func stackHistory(c *call, options historyOptions) error {
	found, err := c.reading()
	if err != nil {
		return err
	}
	updates, err := c.place.Backend().GetHistory(c, found.Ref(), options.PageSize, max(options.Page, 1))
	if err != nil {
		return fmt.Errorf("getting history: %w", err)
	}
	var decrypter config.Decrypter
	if options.ShowSecrets {
		if decrypter, err = c.decrypter(found, ""); err != nil {
			return fmt.Errorf("decrypting secrets: %w", err)
		}
	}
	entries := make([]historyEntry, len(updates))
	for at, update := range updates {
		if entries[at], err = entry(update, decrypter); err != nil {
			return err
		}
	}
	return options.answer(c, entries)
}

func entry(update backend.UpdateInfo, decrypter config.Decrypter) (historyEntry, error) {
	at := func(seconds int64) string { return moment(time.Unix(seconds, 0)) }
	made := historyEntry{
		Version: update.Version, Kind: string(update.Kind), StartTime: at(update.StartTime), Message: update.Message,
		Environment: update.Environment, Config: map[string]configValue{}, Result: string(update.Result),
	}
	for key, value := range update.Config {
		told := configValue{Secret: value.Secure()}
		if !value.Secure() || decrypter != nil {
			text, err := value.Value(decrypter)
			if err != nil {
				// One that cannot be read, because its passphrase was another, does not hide the others.
				text = "ERROR_UNABLE_TO_DECRYPT"
			} else if text != "" && value.Object() {
				told.ObjectValue = json.RawMessage(text)
			}
			told.Value = &text
		}
		made.Config[key.String()] = told
	}
	if update.Result != backend.InProgressResult {
		end, changes := at(update.EndTime), map[string]int{}
		for op, count := range update.ResourceChanges {
			changes[string(op)] = count
		}
		made.EndTime, made.ResourceChanges = &end, &changes
	}
	return made, nil
}
