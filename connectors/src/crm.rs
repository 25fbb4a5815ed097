//! Customer relations managements (CRMs), each behind [`domain::crm::Crm`].

pub mod superoffice;
