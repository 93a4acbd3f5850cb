-- MySQL dump 10.19  Distrib 10.3.39-MariaDB, for Linux (x86_64)
--
-- Host: localhost    Database: voms_training
-- ------------------------------------------------------

/*!40101 SET NAMES utf8 */;
/*!40103 SET TIME_ZONE='+00:00' */;

--
-- Table structure for table `admins`
--

DROP TABLE IF EXISTS `admins`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `admins` (
  `adminid` bigint(20) NOT NULL,
  `dn` varchar(255) DEFAULT NULL,
  `email_address` varchar(255) DEFAULT NULL,
  `ca` smallint(6) NOT NULL,
  PRIMARY KEY (`adminid`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `admins` WRITE;
/*!40000 ALTER TABLE `admins` DISABLE KEYS */;
INSERT INTO `admins` VALUES (1,'/O=VOMS/O=System/CN=Internal VOMS Process',NULL,2),(2,'/C=EU/O=Hanse Demo/OU=People/CN=Marta Kowalska','marta@example.org',1);
/*!40000 ALTER TABLE `admins` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `attributes`
--

DROP TABLE IF EXISTS `attributes`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `attributes` (
  `a_id` bigint(20) NOT NULL,
  `a_desc` text,
  `a_name` varchar(255) DEFAULT NULL,
  `a_uniq` bit(1) DEFAULT NULL,
  PRIMARY KEY (`a_id`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `attributes` WRITE;
/*!40000 ALTER TABLE `attributes` DISABLE KEYS */;
INSERT INTO `attributes` VALUES (1,'the name at the desk','nickname',''),(2,'room, (or hall)','room','\0');
/*!40000 ALTER TABLE `attributes` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `audit_event_data`
--

DROP TABLE IF EXISTS `audit_event_data`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `audit_event_data` (
  `event_id` bigint(20) NOT NULL,
  `value` varchar(255) DEFAULT NULL
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `audit_event_data` WRITE;
/*!40000 ALTER TABLE `audit_event_data` DISABLE KEYS */;
INSERT INTO `audit_event_data` VALUES (1,'\'); DROP TABLE usr; -- `'),(2,'a;b\n\\');
/*!40000 ALTER TABLE `audit_event_data` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `aup`
--

DROP TABLE IF EXISTS `aup`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `aup` (
  `id` bigint(20) NOT NULL,
  `name` varchar(255) DEFAULT NULL,
  `description` varchar(255) DEFAULT NULL,
  `reacceptancePeriod` int(11) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `aup` WRITE;
/*!40000 ALTER TABLE `aup` DISABLE KEYS */;
INSERT INTO `aup` VALUES (1,'VO-AUP','',365);
/*!40000 ALTER TABLE `aup` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `aup_acc_record`
--

DROP TABLE IF EXISTS `aup_acc_record`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `aup_acc_record` (
  `id` bigint(20) NOT NULL,
  `aup_version_id` bigint(20) NOT NULL,
  `usr_id` bigint(20) NOT NULL,
  `last_acceptance_date` datetime DEFAULT NULL,
  `valid` bit(1) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`aup_version_id`,`usr_id`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `aup_acc_record` WRITE;
/*!40000 ALTER TABLE `aup_acc_record` DISABLE KEYS */;
INSERT INTO `aup_acc_record` VALUES (1,2,1,'2026-03-01 09:30:00',''),(2,1,2,'2024-02-01 08:00:00',''),(3,2,3,'2026-03-02 10:00:00','\0'),(4,2,5,'2026-04-01 10:00:00',''),(5,2,6,'2026-04-02 10:00:00','');
/*!40000 ALTER TABLE `aup_acc_record` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `aup_version`
--

DROP TABLE IF EXISTS `aup_version`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `aup_version` (
  `id` bigint(20) NOT NULL,
  `aup_id` bigint(20) NOT NULL,
  `version` varchar(255) DEFAULT NULL,
  `url` varchar(255) DEFAULT NULL,
  `text` varchar(255) DEFAULT NULL,
  `creationTime` datetime DEFAULT NULL,
  `lastForcedReacceptanceTime` datetime DEFAULT NULL,
  `active` bit(1) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `aup_version` WRITE;
/*!40000 ALTER TABLE `aup_version` DISABLE KEYS */;
INSERT INTO `aup_version` VALUES (1,1,'1.0','file:/etc/voms-admin/aup.txt',NULL,'2023-01-01 00:00:00',NULL,'\0'),(2,1,'2.0','file:/etc/voms-admin/aup2.txt',NULL,'2026-02-01 00:00:00',NULL,'');
/*!40000 ALTER TABLE `aup_version` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `ca`
--

DROP TABLE IF EXISTS `ca`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `ca` (
  `cid` smallint(6) NOT NULL,
  `creation_time` datetime DEFAULT NULL,
  `description` varchar(255) DEFAULT NULL,
  `subject_string` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`cid`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `ca` WRITE;
/*!40000 ALTER TABLE `ca` DISABLE KEYS */;
INSERT INTO `ca` VALUES (1,'2020-01-01 00:00:00',NULL,'/C=EU/O=Hanse Demo/CN=Hanse Demo CA'),(2,'2020-01-01 00:00:00','A dummy CA for local maintenance','/O=VOMS/O=System/CN=Dummy Certificate Authority'),(3,'2020-01-01 00:00:00',NULL,'/C=EU/O=Other/CN=Other CA');
/*!40000 ALTER TABLE `ca` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `certificate`
--

DROP TABLE IF EXISTS `certificate`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `certificate` (
  `id` bigint(20) NOT NULL,
  `creation_time` datetime DEFAULT NULL,
  `subject_string` varchar(255) NOT NULL,
  `suspended` bit(1) NOT NULL,
  `suspended_reason` varchar(255) DEFAULT NULL,
  `suspension_reason_code` varchar(255) DEFAULT NULL,
  `ca_id` smallint(6) NOT NULL,
  `usr_id` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `FKa` FOREIGN KEY (`usr_id`) REFERENCES `usr` (`userid`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `certificate` WRITE;
/*!40000 ALTER TABLE `certificate` DISABLE KEYS */;
INSERT INTO `certificate` VALUES (1,'2025-01-01 00:00:00','/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist','\0',NULL,NULL,1,1),(2,'2025-01-01 00:00:00','/C=EU/O=Other/CN=anna','','key lost, \'sorry\'','OTHER',3,1),(3,'2025-01-01 00:00:00','/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal','\0',NULL,NULL,1,2),(4,'2025-01-01 00:00:00','/C=EU/O=Other/CN=O\'Brien (Conor)/emailAddress=conor@example.org','\0',NULL,NULL,3,3),(5,'2025-01-01 00:00:00','no name at all','\0',NULL,NULL,3,4),(6,'2025-01-01 00:00:00','/C=EU/O=Other/CN=robot\\/transfer','\0',NULL,NULL,3,5),(7,'2025-01-01 00:00:00','/C=EU/O=Hanse Demo/OU=People/CN=Goran Petrov','\0',NULL,NULL,1,6);
/*!40000 ALTER TABLE `certificate` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `groups`
--

DROP TABLE IF EXISTS `groups`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `groups` (
  `gid` bigint(20) NOT NULL,
  `description` varchar(255) DEFAULT NULL,
  `must` bit(1) NOT NULL,
  `dn` varchar(255) NOT NULL,
  `restricted` bit(1) DEFAULT NULL,
  `parent` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`gid`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `groups` WRITE;
/*!40000 ALTER TABLE `groups` DISABLE KEYS */;
INSERT INTO `groups` VALUES (1,NULL,'','/training.egi.eu','\0',1),(2,'Schools; summer','','/training.egi.eu/schools','\0',1),(3,NULL,'','/training.egi.eu/schools/2026','\0',2),(4,NULL,'','/training.egi.eu/not a name','\0',1);
/*!40000 ALTER TABLE `groups` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `group_attrs`
--

DROP TABLE IF EXISTS `group_attrs`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `group_attrs` (
  `a_value` varchar(255) DEFAULT NULL,
  `g_id` bigint(20) NOT NULL,
  `a_id` bigint(20) NOT NULL
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `group_attrs` WRITE;
/*!40000 ALTER TABLE `group_attrs` DISABLE KEYS */;
INSERT INTO `group_attrs` VALUES ('Hall 4',2,2);
/*!40000 ALTER TABLE `group_attrs` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `m`
--

DROP TABLE IF EXISTS `m`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `m` (
  `mapping_id` bigint(20) NOT NULL,
  `gid` bigint(20) NOT NULL,
  `rid` bigint(20) DEFAULT NULL,
  `userid` bigint(20) NOT NULL,
  PRIMARY KEY (`mapping_id`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `m` WRITE;
/*!40000 ALTER TABLE `m` DISABLE KEYS */;
INSERT INTO `m` VALUES (1,1,NULL,1),(2,2,NULL,1),(3,2,2,1),(4,1,NULL,2),(5,3,NULL,2),(6,1,NULL,3),(7,1,1,3),(8,1,NULL,4),(9,1,NULL,5),(10,99,NULL,5),(11,1,NULL,6);
/*!40000 ALTER TABLE `m` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `req`
--

DROP TABLE IF EXISTS `req`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `req` (
  `request_id` bigint(20) NOT NULL,
  `status` varchar(255) NOT NULL
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `req` WRITE;
/*!40000 ALTER TABLE `req` DISABLE KEYS */;
INSERT INTO `req` VALUES (1,'CONFIRMED'),(2,'APPROVED');
/*!40000 ALTER TABLE `req` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `roles`
--

DROP TABLE IF EXISTS `roles`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `roles` (
  `rid` bigint(20) NOT NULL,
  `role` varchar(255) NOT NULL,
  PRIMARY KEY (`rid`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `roles` WRITE;
/*!40000 ALTER TABLE `roles` DISABLE KEYS */;
INSERT INTO `roles` VALUES (1,'VO-Admin'),(2,'operator');
/*!40000 ALTER TABLE `roles` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `role_attrs`
--

DROP TABLE IF EXISTS `role_attrs`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `role_attrs` (
  `a_value` varchar(255) DEFAULT NULL,
  `r_id` bigint(20) NOT NULL,
  `g_id` bigint(20) NOT NULL,
  `a_id` bigint(20) NOT NULL
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `role_attrs` WRITE;
/*!40000 ALTER TABLE `role_attrs` DISABLE KEYS */;
/*!40000 ALTER TABLE `role_attrs` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `usr`
--

DROP TABLE IF EXISTS `usr`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `usr` (
  `userid` bigint(20) NOT NULL,
  `address` varchar(255) DEFAULT NULL,
  `creation_time` datetime DEFAULT NULL,
  `dn` varchar(255) DEFAULT NULL,
  `email_address` varchar(255) NOT NULL,
  `end_time` datetime DEFAULT NULL,
  `institution` varchar(255) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL,
  `orgdb_id` bigint(20) DEFAULT NULL,
  `phone_number` varchar(255) DEFAULT NULL,
  `surname` varchar(255) DEFAULT NULL,
  `suspended` bit(1) DEFAULT NULL,
  `suspension_reason` varchar(255) DEFAULT NULL,
  `suspension_reason_code` varchar(255) DEFAULT NULL,
  `ca` smallint(6) DEFAULT NULL,
  PRIMARY KEY (`userid`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `usr` WRITE;
/*!40000 ALTER TABLE `usr` DISABLE KEYS */;
INSERT INTO `usr` VALUES (1,'Lane 1','2025-01-10 08:00:00','/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist','anna@example.org','2096-01-31 23:00:00','Example Institute','Anna',NULL,'+46 1','Lindqvist','\0',NULL,NULL,1),(2,NULL,'2025-02-10 08:00:00',NULL,'tomas@example.org','2026-01-01 00:00:00',NULL,'Tomás',NULL,NULL,'Vidal','','Membership expired','MEMBERSHIP_EXPIRATION',NULL),(3,NULL,'2025-02-11 08:00:00',NULL,'conor@example.org','2096-01-31 23:00:00','"Quoted" Institute\n2nd line','Conor',NULL,NULL,'O\'Brien','','It\'s a stolen key; see \\\\ticket','SECURITY_INCIDENT',NULL),(4,NULL,'2025-02-12 08:00:00',NULL,'nobody',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),(5,NULL,'2025-02-13 08:00:00',NULL,'robot@example.org','not a time',NULL,NULL,NULL,NULL,NULL,'\0',NULL,NULL,NULL),(6,NULL,'2025-02-14 08:00:00',NULL,'goran@example.org',NULL,NULL,'Goran',NULL,NULL,'Petrov','',NULL,'SOMETHING_NEW',NULL);
/*!40000 ALTER TABLE `usr` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `usr_attrs`
--

DROP TABLE IF EXISTS `usr_attrs`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `usr_attrs` (
  `a_value` varchar(255) DEFAULT NULL,
  `u_id` bigint(20) NOT NULL,
  `a_id` bigint(20) NOT NULL
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1;

LOCK TABLES `usr_attrs` WRITE;
/*!40000 ALTER TABLE `usr_attrs` DISABLE KEYS */;
INSERT INTO `usr_attrs` VALUES ('anna',1,1),('robo',5,1),('x',5,77);
/*!40000 ALTER TABLE `usr_attrs` ENABLE KEYS */;
UNLOCK TABLES;

-- Dump completed on 2026-11-01 12:00:00
