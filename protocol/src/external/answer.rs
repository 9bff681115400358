//! Which response fits which request.

use super::{Direction, RemoteRequest, Request, Response};

/// How a response fits the request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// It is the answer, or the end of it.
    Ends,
    /// It is a part of the answer; more follows.
    Continues,
    /// It answers something else: the program is broken and has to be stopped.
    Wrong,
}

impl Request {
    /// Tells whether the program answers at all.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::Export { .. } | Self::Import { .. })
    }

    /// Tells how a response fits: right kind, same direction, same key byte for byte.
    ///
    /// UNSUPPORTED-REQUEST fits every request; what it means is up to the host. DELEGATE fits the requests for a key.
    /// Whether an extension was offered is not looked at.
    pub fn fit(&self, response: &Response) -> Fit {
        if !self.is_answered() {
            Fit::Wrong
        } else if self.is_continued_by(response) {
            Fit::Continues
        } else if matches!(response, Response::UnsupportedRequest)
            || self.is_ended_by(response)
            || self.is_ended_for_key_by(response)
        {
            Fit::Ends
        } else {
            Fit::Wrong
        }
    }

    fn is_continued_by(&self, response: &Response) -> bool {
        use Response as R;
        match self {
            Self::ListConfigs => matches!(response, R::Config { .. }),
            Self::GetInfo => matches!(response, R::InfoField { .. } | R::InfoValue { .. }),
            Self::ListImportableContents => {
                matches!(response, R::ImportableContent { .. } | R::ImportableContentIdentifier { .. })
            }
            _ => false,
        }
    }

    /// For requests whose answer does not name a key of theirs.
    fn is_ended_by(&self, response: &Response) -> bool {
        use Response as R;
        match self {
            Self::Extensions { .. } => matches!(response, R::Extensions { .. }),
            Self::ListConfigs => matches!(response, R::ConfigEnd),
            Self::InitRemote => matches!(response, R::InitRemoteSuccess | R::InitRemoteFailure { .. }),
            Self::Prepare => matches!(response, R::PrepareSuccess | R::PrepareFailure { .. }),
            Self::GetCost => matches!(response, R::Cost { .. }),
            Self::GetAvailability => matches!(response, R::Availability { .. }),
            Self::GetOrdered => matches!(response, R::Ordered | R::Unordered),
            Self::ClaimUrl { .. } => matches!(response, R::ClaimUrlSuccess | R::ClaimUrlFailure),
            Self::CheckUrl { .. } => {
                matches!(response, R::CheckUrlContents { .. } | R::CheckUrlMulti { .. } | R::CheckUrlFailure { .. })
            }
            Self::WhereIs { .. } => matches!(response, R::WhereIsSuccess { .. } | R::WhereIsFailure),
            Self::GetInfo => matches!(response, R::InfoEnd),
            Self::ExportSupported => matches!(response, R::ExportSupportedSuccess | R::ExportSupportedFailure),
            Self::ImportSupported => {
                matches!(response, R::ImportSupportedSuccess | R::ImportSupportedFailure | R::ImportRequired)
            }
            Self::RemoveExportDirectory { .. } => {
                matches!(response, R::RemoveExportDirectorySuccess | R::RemoveExportDirectoryFailure)
            }
            Self::ListImportableContents => {
                matches!(response, R::ListImportableContentsSuccess | R::ListImportableContentsFailure { .. })
            }
            Self::RetrieveImport { .. } => matches!(
                response,
                R::RetrieveImportSuccess | R::RetrieveImportFailure { .. } | R::RetrieveImportUrl { .. }
            ),
            Self::ImportKey { .. } => {
                matches!(response, R::ImportKeySuccess { .. } | R::ImportKeySkip | R::ImportKeyFailure { .. })
            }
            Self::Transfer { .. } | Self::CheckPresent { .. } | Self::Remove { .. } => {
                matches!(response, R::Delegate { .. })
            }
            _ => false,
        }
    }

    /// For requests whose answer has to echo the key.
    fn is_ended_for_key_by(&self, response: &Response) -> bool {
        use Response as R;
        match (self, response) {
            (
                Self::Transfer { direction, key, .. } | Self::TransferExport { direction, key, .. },
                R::TransferSuccess { direction: done, key: echo }
                | R::TransferFailure { direction: done, key: echo, .. },
            ) => direction == done && key == echo,
            (Self::Transfer { direction: Direction::Retrieve, key, .. }, R::TransferRetrieveUrl { key: echo, .. })
            | (
                Self::CheckPresent { key } | Self::CheckPresentExport { key } | Self::CheckPresentImport { key },
                R::CheckPresentSuccess { key: echo }
                | R::CheckPresentFailure { key: echo }
                | R::CheckPresentUnknown { key: echo, .. }
                | R::CheckPresentUrl { key: echo, .. },
            )
            | (
                Self::Remove { key } | Self::RemoveExport { key },
                R::RemoveSuccess { key: echo } | R::RemoveFailure { key: echo, .. },
            )
            | (
                Self::RenameExport { key, .. },
                R::RenameExportSuccess { key: echo } | R::RenameExportFailure { key: echo },
            ) => key == echo,
            _ => false,
        }
    }
}

impl RemoteRequest {
    /// Tells whether the host answers.
    pub fn is_answered(&self) -> bool {
        !matches!(
            self,
            Self::Version { .. }
                | Self::Progress { .. }
                | Self::SetConfig { .. }
                | Self::SetCreds { .. }
                | Self::SetWanted { .. }
                | Self::SetState { .. }
                | Self::SetUrlPresent { .. }
                | Self::SetUrlMissing { .. }
                | Self::SetUriPresent { .. }
                | Self::SetUriMissing { .. }
                | Self::Debug { .. }
                | Self::Info { .. }
        )
    }
}
