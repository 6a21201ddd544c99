//! What can happen, as a closed set: metrics count by it, too.

/// What can happen. The name is the Event's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventReason {
    /// The first authority.
    AuthorityMade,
    /// What the Secret had held was written back.
    AuthorityRestored,
    /// An authority that could not be used was replaced at once.
    AuthorityReplaced,
    /// A successor is there, and waits until API servers trust it.
    AuthorityPrepared,
    /// The successor signs.
    AuthorityPromoted,
    /// An authority that our leaf comes from was missing in the Secret.
    AuthorityAdopted,
    /// Authorities whose time is over are not trusted any more.
    AuthorityPruned,
    /// The Secret was gone, and was created.
    SecretCreated,
    /// Somebody had overwritten a caBundle.
    CaBundleRepaired,
    /// A client refused the certificate after a switch, and the previous one is served again.
    CertificateRefused,
    /// Calls of the API server come through.
    WebhookReached,
    /// Calls of the API server do not come through.
    WebhookNotReached,
}

impl EventReason {
    /// Each of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::AuthorityMade,
        Self::AuthorityRestored,
        Self::AuthorityReplaced,
        Self::AuthorityPrepared,
        Self::AuthorityPromoted,
        Self::AuthorityAdopted,
        Self::AuthorityPruned,
        Self::SecretCreated,
        Self::CaBundleRepaired,
        Self::CertificateRefused,
        Self::WebhookReached,
        Self::WebhookNotReached,
    ];

    /// The Event's reason, and the counter's label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::AuthorityMade => "AuthorityMade",
            Self::AuthorityRestored => "AuthorityRestored",
            Self::AuthorityReplaced => "AuthorityReplaced",
            Self::AuthorityPrepared => "AuthorityPrepared",
            Self::AuthorityPromoted => "AuthorityPromoted",
            Self::AuthorityAdopted => "AuthorityAdopted",
            Self::AuthorityPruned => "AuthorityPruned",
            Self::SecretCreated => "SecretCreated",
            Self::CaBundleRepaired => "CaBundleRepaired",
            Self::CertificateRefused => "CertificateRefused",
            Self::WebhookReached => "WebhookReached",
            Self::WebhookNotReached => "WebhookNotReached",
        }
    }

    /// Should somebody look at it?
    pub(super) fn is_warning(self) -> bool {
        match self {
            Self::AuthorityRestored
            | Self::AuthorityReplaced
            | Self::AuthorityAdopted
            | Self::SecretCreated
            | Self::CaBundleRepaired
            | Self::CertificateRefused
            | Self::WebhookNotReached => true,
            Self::AuthorityMade
            | Self::AuthorityPrepared
            | Self::AuthorityPromoted
            | Self::AuthorityPruned
            | Self::WebhookReached => false,
        }
    }
}
