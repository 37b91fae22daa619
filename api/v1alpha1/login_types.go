package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LoginParameter is a parameter of an authorization request that the page may
// set by naming it in the login URL (OpenID Connect Core section 3.1.2.1).
//
// +kubebuilder:validation:Enum=prompt;login_hint;acr_values;max_age;ui_locales
type LoginParameter string

// Values of LoginParameter.
const (
	ParameterPrompt    LoginParameter = "prompt"
	ParameterLoginHint LoginParameter = "login_hint"
	ParameterACRValues LoginParameter = "acr_values"
	ParameterMaxAge    LoginParameter = "max_age"
	ParameterUILocales LoginParameter = "ui_locales"
)

// Login says how users log in.
type Login struct {
	// allowedParameters are the parameters of the login URL that are passed on to
	// the provider. acr_values and max_age make a step-up: the answer must fulfil
	// them. prompt=none makes a silent login. Others are refused. The default is
	// none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=5
	AllowedParameters []LoginParameter `json:"allowedParameters,omitempty"`

	// acrValues are the authentication context classes every login must have one
	// of, best first. They are sent as acr_values, and a login with another acr is
	// refused (OpenID Connect Core section 3.1.3.7, item 12).
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[\x21-\x7E]+$`
	ACRValues []string `json:"acrValues,omitempty"`

	// maxAge is how long ago the user may have proved who they are, at the moment
	// of the login. It is sent as max_age, and auth_time must agree (item 13). From
	// 0s; left out, the provider decides.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('720h')",message="maxAge must be a duration from 0s to 720h, for example 1h"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// Logout says what a logout does beyond ending the session and revoking its
// refresh token.
type Logout struct {
	// idTokenHint says how the provider learns which of its sessions to end
	// (OpenID Connect RP-Initiated Logout section 2). FormPost (the default) sends
	// the ID token by a form that the browser posts to the provider, from a page
	// that no script of the application can read. None sends none: the provider
	// then asks the user.
	// +optional
	// +kubebuilder:default=FormPost
	IDTokenHint IDTokenHint `json:"idTokenHint,omitempty"`

	// frontChannel opens the endpoint for OpenID Connect Front-Channel Logout. It
	// needs iss and sid, and no cookie. The back-channel endpoint is always open
	// and the better one. The default is Disabled.
	// +optional
	// +kubebuilder:default=Disabled
	FrontChannel Switch `json:"frontChannel,omitempty"`
}

// IDTokenHint says how the ID token reaches the provider at logout.
//
// +kubebuilder:validation:Enum=FormPost;None
type IDTokenHint string

// Values of IDTokenHint.
const (
	IDTokenHintFormPost IDTokenHint = "FormPost"
	IDTokenHintNone     IDTokenHint = "None"
)
