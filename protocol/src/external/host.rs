//! Host to program.

use super::{Direction, Extensions, Text, WireKey, Word};

messages! {
    /// What the host asks of the program; `docs/spec/external-special-remote.md` §3, §6 and §7.
    pub enum Request {
        /// `EXTENSIONS list`: what the host offers.
        Extensions { list: Extensions } = "EXTENSIONS",
        /// `LISTCONFIGS`: the settings that the program knows.
        ListConfigs = "LISTCONFIGS",
        /// `INITREMOTE`: at each initremote and enableremote.
        InitRemote = "INITREMOTE",
        /// `PREPARE`: once a process, before what needs it.
        Prepare = "PREPARE",
        /// `TRANSFER STORE|RETRIEVE key file`.
        Transfer { direction: Direction, key: WireKey, file: Text } = "TRANSFER",
        /// `CHECKPRESENT key`.
        CheckPresent { key: WireKey } = "CHECKPRESENT",
        /// `REMOVE key`.
        Remove { key: WireKey } = "REMOVE",
        /// `GETCOST`.
        GetCost = "GETCOST",
        /// `GETAVAILABILITY`.
        GetAvailability = "GETAVAILABILITY",
        /// `GETORDERED`: is a file written strictly front to back?
        GetOrdered = "GETORDERED",
        /// `CLAIMURL url`.
        ClaimUrl { url: Text } = "CLAIMURL",
        /// `CHECKURL url`.
        CheckUrl { url: Text } = "CHECKURL",
        /// `WHEREIS key`.
        WhereIs { key: WireKey } = "WHEREIS",
        /// `GETINFO`: what `git annex info` shows.
        GetInfo = "GETINFO",
        /// `EXPORTSUPPORTED`.
        ExportSupported = "EXPORTSUPPORTED",
        /// `IMPORTSUPPORTED`.
        ImportSupported = "IMPORTSUPPORTED",
        /// `EXPORT name`: for the next request; never answered.
        Export { name: Text } = "EXPORT",
        /// `TRANSFEREXPORT STORE|RETRIEVE key file`.
        TransferExport { direction: Direction, key: WireKey, file: Text } = "TRANSFEREXPORT",
        /// `CHECKPRESENTEXPORT key`.
        CheckPresentExport { key: WireKey } = "CHECKPRESENTEXPORT",
        /// `REMOVEEXPORT key`.
        RemoveExport { key: WireKey } = "REMOVEEXPORT",
        /// `REMOVEEXPORTDIRECTORY dir`.
        RemoveExportDirectory { dir: Text } = "REMOVEEXPORTDIRECTORY",
        /// `RENAMEEXPORT key newname`.
        RenameExport { key: WireKey, new_name: Text } = "RENAMEEXPORT",
        /// `LISTIMPORTABLECONTENTS`.
        ListImportableContents = "LISTIMPORTABLECONTENTS",
        /// `IMPORT name`: for the next request; never answered.
        Import { name: Text } = "IMPORT",
        /// `RETRIEVEIMPORT file`.
        RetrieveImport { file: Text } = "RETRIEVEIMPORT",
        /// `CHECKPRESENTIMPORT key`.
        CheckPresentImport { key: WireKey } = "CHECKPRESENTIMPORT",
        /// `IMPORTKEY size cid`: which key would that content have?
        ImportKey { size: u64, cid: Text } = "IMPORTKEY",
    }
}

messages! {
    /// What the host answers to the program; `docs/spec/external-special-remote.md` §5.
    pub enum RemoteResponse {
        /// `VALUE text`.
        Value { text: Text } = "VALUE",
        /// `CREDS user password`; both empty when there are none.
        Creds { user: Word, password: Text } = "CREDS",
        /// `DOWNLOAD-URL-SUCCESS file`.
        DownloadUrlSuccess { file: Text } = "DOWNLOAD-URL-SUCCESS",
        /// `DOWNLOAD-URL-FAILURE message`.
        DownloadUrlFailure { message: Text } = "DOWNLOAD-URL-FAILURE",
    }
}
