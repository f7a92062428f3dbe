package place

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// ConfigKey reads a key; one without a namespace is the project's. Of a path, only what comes before its
// first step can have a namespace.
func (p *Place) ConfigKey(text string, path bool) (config.Key, error) {
	key, err := p.configKey(text, path)
	if err != nil {
		return config.Key{}, fmt.Errorf("invalid configuration key: %w", err)
	}
	return key, nil
}

func (p *Place) configKey(text string, path bool) (config.Key, error) {
	if path {
		if step := strings.IndexAny(text, "[."); step > 0 {
			first, err := p.configKey(text[:step], false)
			if err != nil {
				return config.Key{}, err
			}
			return config.MustMakeKey(first.Namespace(), first.Name()+text[step:]), nil
		}
	}
	if strings.Contains(text, tokens.TokenDelimiter) {
		return config.ParseKey(text)
	}
	if err := p.NeedProject(); err != nil {
		return config.Key{}, err
	}
	return config.ParseKey(p.Project.Name.String() + tokens.TokenDelimiter + text)
}

// PrettyKey writes a key as people read it.
func (p *Place) PrettyKey(key config.Key) string {
	if p.File != "" && key.Namespace() == p.Project.Name.String() {
		return key.Name()
	}
	return key.Namespace() + tokens.TokenDelimiter + key.Name()
}
