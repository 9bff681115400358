//! Program to host.

use super::{Availability, Cost, Direction, Extensions, Text, UrlContent, WireKey, Word};

messages! {
    /// What the program answers to a request; `docs/spec/external-special-remote.md` §3, §6, §7 and §9.
    pub enum Response {
        /// `EXTENSIONS list`: those of the offered ones that the program uses.
        Extensions { list: Extensions } = "EXTENSIONS",
        /// `UNSUPPORTED-REQUEST`.
        UnsupportedRequest = "UNSUPPORTED-REQUEST",
        /// `CONFIG name description`; one of several.
        Config { name: Word, description: Text } = "CONFIG",
        /// `CONFIGEND`.
        ConfigEnd = "CONFIGEND",
        /// `INITREMOTE-SUCCESS`.
        InitRemoteSuccess = "INITREMOTE-SUCCESS",
        /// `INITREMOTE-FAILURE message`.
        InitRemoteFailure { message: Text } = "INITREMOTE-FAILURE",
        /// `PREPARE-SUCCESS`.
        PrepareSuccess = "PREPARE-SUCCESS",
        /// `PREPARE-FAILURE message`.
        PrepareFailure { message: Text } = "PREPARE-FAILURE",
        /// `TRANSFER-SUCCESS STORE|RETRIEVE key`.
        TransferSuccess { direction: Direction, key: WireKey } = "TRANSFER-SUCCESS",
        /// `TRANSFER-FAILURE STORE|RETRIEVE key message`.
        TransferFailure { direction: Direction, key: WireKey, message: Text } = "TRANSFER-FAILURE",
        /// `TRANSFER-RETRIEVE-URL key url`: the host is to download it. An extension.
        TransferRetrieveUrl { key: WireKey, url: Text } = "TRANSFER-RETRIEVE-URL",
        /// `CHECKPRESENT-SUCCESS key`.
        CheckPresentSuccess { key: WireKey } = "CHECKPRESENT-SUCCESS",
        /// `CHECKPRESENT-FAILURE key`: proven absent.
        CheckPresentFailure { key: WireKey } = "CHECKPRESENT-FAILURE",
        /// `CHECKPRESENT-UNKNOWN key message`.
        CheckPresentUnknown { key: WireKey, message: Text } = "CHECKPRESENT-UNKNOWN",
        /// `CHECKPRESENT-URL key url`: the host is to look. An extension.
        CheckPresentUrl { key: WireKey, url: Text } = "CHECKPRESENT-URL",
        /// `REMOVE-SUCCESS key`: also when it was not there.
        RemoveSuccess { key: WireKey } = "REMOVE-SUCCESS",
        /// `REMOVE-FAILURE key message`.
        RemoveFailure { key: WireKey, message: Text } = "REMOVE-FAILURE",
        /// `COST number`.
        Cost { cost: Cost } = "COST",
        /// `AVAILABILITY GLOBAL|LOCAL|UNAVAILABLE`.
        Availability { availability: Availability } = "AVAILABILITY",
        /// `ORDERED`.
        Ordered = "ORDERED",
        /// `UNORDERED`.
        Unordered = "UNORDERED",
        /// `CLAIMURL-SUCCESS`.
        ClaimUrlSuccess = "CLAIMURL-SUCCESS",
        /// `CLAIMURL-FAILURE`.
        ClaimUrlFailure = "CLAIMURL-FAILURE",
        /// `CHECKURL-CONTENTS size|UNKNOWN file`; the file name may be empty.
        CheckUrlContents { size: Option<u64>, file: Text } = "CHECKURL-CONTENTS",
        /// `CHECKURL-MULTI url size|UNKNOWN file ...`.
        CheckUrlMulti { contents: Vec<UrlContent> } = "CHECKURL-MULTI",
        /// `CHECKURL-FAILURE message`.
        CheckUrlFailure { message: Text } = "CHECKURL-FAILURE",
        /// `WHEREIS-SUCCESS text`.
        WhereIsSuccess { text: Text } = "WHEREIS-SUCCESS",
        /// `WHEREIS-FAILURE`.
        WhereIsFailure = "WHEREIS-FAILURE",
        /// `INFOFIELD name`; its INFOVALUE follows at once.
        InfoField { name: Text } = "INFOFIELD",
        /// `INFOVALUE value`.
        InfoValue { value: Text } = "INFOVALUE",
        /// `INFOEND`.
        InfoEnd = "INFOEND",
        /// `EXPORTSUPPORTED-SUCCESS`.
        ExportSupportedSuccess = "EXPORTSUPPORTED-SUCCESS",
        /// `EXPORTSUPPORTED-FAILURE`.
        ExportSupportedFailure = "EXPORTSUPPORTED-FAILURE",
        /// `IMPORTSUPPORTED-SUCCESS`.
        ImportSupportedSuccess = "IMPORTSUPPORTED-SUCCESS",
        /// `IMPORTSUPPORTED-FAILURE`.
        ImportSupportedFailure = "IMPORTSUPPORTED-FAILURE",
        /// `IMPORTREQUIRED`: the remote can only be set up with `importtree=yes`.
        ImportRequired = "IMPORTREQUIRED",
        /// `REMOVEEXPORTDIRECTORY-SUCCESS`: also when it was not there.
        RemoveExportDirectorySuccess = "REMOVEEXPORTDIRECTORY-SUCCESS",
        /// `REMOVEEXPORTDIRECTORY-FAILURE`.
        RemoveExportDirectoryFailure = "REMOVEEXPORTDIRECTORY-FAILURE",
        /// `RENAMEEXPORT-SUCCESS key`.
        RenameExportSuccess { key: WireKey } = "RENAMEEXPORT-SUCCESS",
        /// `RENAMEEXPORT-FAILURE key`.
        RenameExportFailure { key: WireKey } = "RENAMEEXPORT-FAILURE",
        /// `IMPORTABLECONTENT size name`; its identifier follows at once.
        ImportableContent { size: u64, name: Text } = "IMPORTABLECONTENT",
        /// `IMPORTABLECONTENTIDENTIFIER cid`.
        ImportableContentIdentifier { cid: Text } = "IMPORTABLECONTENTIDENTIFIER",
        /// `LISTIMPORTABLECONTENTS-SUCCESS`.
        ListImportableContentsSuccess = "LISTIMPORTABLECONTENTS-SUCCESS",
        /// `LISTIMPORTABLECONTENTS-FAILURE message`.
        ListImportableContentsFailure { message: Text } = "LISTIMPORTABLECONTENTS-FAILURE",
        /// `RETRIEVEIMPORT-SUCCESS`.
        RetrieveImportSuccess = "RETRIEVEIMPORT-SUCCESS",
        /// `RETRIEVEIMPORT-FAILURE message`.
        RetrieveImportFailure { message: Text } = "RETRIEVEIMPORT-FAILURE",
        /// `RETRIEVEIMPORT-URL url`: the host is to download it.
        RetrieveImportUrl { url: Text } = "RETRIEVEIMPORT-URL",
        /// `IMPORTKEY-SUCCESS key`.
        ImportKeySuccess { key: WireKey } = "IMPORTKEY-SUCCESS",
        /// `IMPORTKEY-SKIP`.
        ImportKeySkip = "IMPORTKEY-SKIP",
        /// `IMPORTKEY-FAILURE message`.
        ImportKeyFailure { message: Text } = "IMPORTKEY-FAILURE",
        /// `DELEGATE settings`: the host is to ask a special remote with these settings. An extension.
        Delegate { settings: Text } = "DELEGATE",
    }
}

messages! {
    /// What the program asks of the host, or tells it; `docs/spec/external-special-remote.md` §4 and §5.
    pub enum RemoteRequest {
        /// `VERSION number`: the first line, sent unasked.
        Version { number: u64 } = "VERSION",
        /// `PROGRESS bytes`: of this file so far.
        Progress { bytes: u64 } = "PROGRESS",
        /// `DIRHASH key`: the mixed-case hash directory.
        DirHash { key: WireKey } = "DIRHASH",
        /// `DIRHASH-LOWER key`: the lower-case hash directory.
        DirHashLower { key: WireKey } = "DIRHASH-LOWER",
        /// `SETCONFIG name value`.
        SetConfig { name: Word, value: Text } = "SETCONFIG",
        /// `GETCONFIG name`.
        GetConfig { name: Text } = "GETCONFIG",
        /// `SETCREDS name user password`.
        SetCreds { name: Word, user: Word, password: Text } = "SETCREDS",
        /// `GETCREDS name`.
        GetCreds { name: Text } = "GETCREDS",
        /// `GETUUID`.
        GetUuid = "GETUUID",
        /// `GETGITDIR`.
        GetGitDir = "GETGITDIR",
        /// `GETGITREMOTENAME`. An extension.
        GetGitRemoteName = "GETGITREMOTENAME",
        /// `SETWANTED expression`.
        SetWanted { expression: Text } = "SETWANTED",
        /// `GETWANTED`.
        GetWanted = "GETWANTED",
        /// `SETSTATE key value`.
        SetState { key: WireKey, value: Text } = "SETSTATE",
        /// `GETSTATE key`.
        GetState { key: WireKey } = "GETSTATE",
        /// `SETURLPRESENT key url`.
        SetUrlPresent { key: WireKey, url: Text } = "SETURLPRESENT",
        /// `SETURLMISSING key url`.
        SetUrlMissing { key: WireKey, url: Text } = "SETURLMISSING",
        /// `SETURIPRESENT key uri`.
        SetUriPresent { key: WireKey, uri: Text } = "SETURIPRESENT",
        /// `SETURIMISSING key uri`.
        SetUriMissing { key: WireKey, uri: Text } = "SETURIMISSING",
        /// `GETURLS key prefix`: answered with one VALUE a URL and an empty one.
        GetUrls { key: WireKey, prefix: Text } = "GETURLS",
        /// `DEBUG text`.
        Debug { text: Text } = "DEBUG",
        /// `INFO text`: shown to the user. An extension.
        Info { text: Text } = "INFO",
        /// `DOWNLOAD-URL url`: only to a host that offers IMPORTKEY.
        DownloadUrl { url: Text } = "DOWNLOAD-URL",
    }
}
