package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// idpConfig is the file that --config of the identity provider names.
type idpConfig struct {
	Issuer string `json:"issuer"`
	// AccessTokenLifetime is a duration such as 60s.
	AccessTokenLifetime string `json:"accessTokenLifetime,omitempty"`
	// ShowCredentials prints users and passwords on the login page.
	ShowCredentials bool        `json:"showCredentials,omitempty"`
	Clients         []idpClient `json:"clients"`
	// Users default to alice and bob.
	Users []idp.User `json:"users,omitempty"`
}

type idpClient struct {
	idp.Client
	// SecretFile holds the client's secret, instead of secret.
	SecretFile string `json:"secretFile,omitempty"`
}

func loadIDPConfig(path string) (idp.Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return idp.Config{}, fmt.Errorf("read configuration: %w", err)
	}
	var file idpConfig
	if err := yaml.UnmarshalStrict(raw, &file); err != nil {
		return idp.Config{}, fmt.Errorf("read configuration %q: %w", path, err)
	}
	config := idp.Config{Issuer: file.Issuer, Users: file.Users, ShowCredentials: file.ShowCredentials}
	if len(config.Users) == 0 {
		config.Users = idp.DemoUsers()
	}
	if file.AccessTokenLifetime != "" {
		config.AccessTokenLifetime, err = time.ParseDuration(file.AccessTokenLifetime)
		if err != nil {
			return idp.Config{}, fmt.Errorf("accessTokenLifetime: write a duration such as 60s: %w", err)
		}
	}
	for i, c := range file.Clients {
		client, err := c.resolve()
		if err != nil {
			return idp.Config{}, fmt.Errorf("clients[%d]: %w", i, err)
		}
		config.Clients = append(config.Clients, client)
	}
	return config, nil
}

func (c idpClient) resolve() (idp.Client, error) {
	if c.SecretFile == "" {
		return c.Client, nil
	}
	if c.Secret != "" {
		return idp.Client{}, errors.New("write secret or secretFile, not both")
	}
	secret, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return idp.Client{}, fmt.Errorf("read client secret: %w", err)
	}
	c.Client.Secret = strings.TrimSpace(string(secret))
	return c.Client, nil
}
